#include <gtest/gtest.h>

#include "ibot/models/swin_transformer.h"
#include "support/expect_tensor.h"
#include "support/golden.h"
#include "support/golden_options.h"
#include "support/weights.h"

namespace ibot::models {
namespace {

using testing::GoldenCase;
using testing::near;
using testing::Tolerance;

torch::Tensor all_tokens(const BackboneOutput& output) {
  return torch::cat({output.class_token.unsqueeze(1), output.patch_tokens}, 1);
}

/// One case: the backbone with its weights, and the tensors it is compared with. Every stored
/// tensor but weights and inputs must be compared.
class Case {
 public:
  explicit Case(const GoldenCase& golden)
      : tensors_(golden.tensors()),
        tolerance_{golden.json["tolerance"]["rtol"], golden.json["tolerance"]["atol"]} {
    const auto options = testing::backbone_options_of(golden.json["config"]);
    swin_ = std::make_shared<SwinTransformer>(options, swin_shape(options), Role::kStudent);
    testing::load_weights(*swin_, golden.tensors("weights."));
  }

  void check() {
    check_sizes();
    check_masks();
    check_blocks();
    check_gradients();
    for (const auto& [name, tensor] : tensors_) {
      const bool input = name.rfind("in_", 0) == 0 || name.rfind("mask_", 0) == 0;
      EXPECT_TRUE(input || name == "grad_r" || compared_.count(name) > 0)
          << name << " was not compared";
    }
  }

 private:
  bool has(const std::string& name) const { return tensors_.count(name) > 0; }
  torch::Tensor at(const std::string& name) const { return tensors_.at(name); }

  void compare(const torch::Tensor& actual, const std::string& name) {
    EXPECT_TRUE(near(actual, at(name), tolerance_)) << name;
    compared_.insert(name);
  }

  torch::Tensor mask(const std::string& name) const {
    return at("mask_" + name).flatten(1).to(torch::kBool);
  }

  void check_sizes() {
    for (const auto& [name, images] : tensors_) {
      if (name.rfind("in_", 0) != 0) continue;
      const auto size = name.substr(3);
      const auto output = swin_->forward(images);
      compare(all_tokens(output), "out_" + size + "_all");
      compare(output.class_token, "out_" + size + "_cls");
      const auto grid = swin_->grid(images.size(2), images.size(3));
      EXPECT_EQ(grid.size(), output.patch_tokens.size(1)) << size;
    }
  }

  void check_masks() {
    const auto images = at("in_native");
    compare(all_tokens(swin_->forward(images, mask("native"))), "out_native_masked_all");
    compare(all_tokens(swin_->forward(images, mask("fullres"))), "out_native_maskedfullres_all");
  }

  void check_blocks() {
    const auto images = at("in_native");
    const auto first = images.narrow(0, 0, 1);
    for (const int64_t count : {1, 2, 3, 4}) {
      const auto whole = swin_->intermediate(images, count);
      const auto one = swin_->intermediate(first, count);
      for (int64_t i = 0; i < count; ++i) {
        const auto ending = "n" + std::to_string(count) + "_" + std::to_string(i);
        if (has("inter_" + ending)) compare(all_tokens(one[i]), "inter_" + ending);
        if (has("inter_pooled_" + ending)) compare(whole[i].class_token, "inter_pooled_" + ending);
      }
    }
    if (has("last_attn_native")) compare(swin_->last_attention(first), "last_attn_native");
    const auto attentions = swin_->attentions(first);
    for (size_t i = 0; i < attentions.size(); ++i) {
      const auto name = "attn_all_" + std::to_string(i);
      if (has(name)) compare(attentions[i], name);
    }
  }

  void check_gradients() {
    if (!has("grad_r")) return;
    auto images = at("in_native").clone().set_requires_grad(true);
    const auto output = all_tokens(swin_->forward(images, mask("native")));
    (output * at("grad_r")).sum().backward();
    compare(images.grad(), "grad_in_native_masked");
    for (const auto& parameter : swin_->named_parameters()) {
      compare(parameter.value().grad(), "grad." + parameter.key());
    }
  }

  std::map<std::string, torch::Tensor> tensors_;
  Tolerance tolerance_;
  std::shared_ptr<SwinTransformer> swin_;
  std::set<std::string> compared_;
};

TEST(SwinTransformerGolden, MatchesTheReference) {
  for (const auto& golden : testing::golden_cases("02_swin")) {
    SCOPED_TRACE(golden.name);
    Case(golden).check();
  }
}

}  // namespace
}  // namespace ibot::models
