#include <gtest/gtest.h>

#include "ibot/models/vision_transformer.h"
#include "ibot/nn/pos_embed.h"
#include "support/expect_tensor.h"
#include "support/golden.h"
#include "support/golden_options.h"
#include "support/weights.h"

namespace ibot::models {
namespace {

using testing::GoldenCase;
using testing::near;
using testing::Tolerance;
using Tensors = std::map<std::string, torch::Tensor>;

torch::Tensor all_tokens(const BackboneOutput& output) {
  return torch::cat({output.class_token.unsqueeze(1), output.patch_tokens}, 1);
}

/// One case: the backbone with its weights, and the tensors it is compared with.
class Case {
 public:
  explicit Case(const GoldenCase& golden)
      : tensors_(golden.tensors()),
        tolerance_{golden.json["tolerance"]["rtol"], golden.json["tolerance"]["atol"]} {
    const auto options = testing::backbone_options_of(golden.json["config"]);
    vit_ = std::make_shared<VisionTransformer>(options, vit_shape(options), Role::kStudent);
    testing::load_weights(*vit_, golden.tensors("weights."));
  }

  bool has(const std::string& name) const { return tensors_.count(name) > 0; }
  torch::Tensor at(const std::string& name) const { return tensors_.at(name); }

  void compare(const torch::Tensor& actual, const std::string& name) const {
    EXPECT_TRUE(near(actual, at(name), tolerance_)) << name;
  }

  torch::Tensor mask(const std::string& size) const {
    return at("mask_" + size).flatten(1).to(torch::kBool);
  }

  /// Everything stored for one image size.
  void check_size(const std::string& size) const {
    const auto images = at("in_" + size);
    const auto output = vit_->forward(images);
    compare(all_tokens(output), "out_" + size + "_all");
    EXPECT_TRUE(
        near(vit_->forward_selected(images, {}, {}).class_token, output.class_token, tolerance_))
        << size;
    if (has("mask_" + size)) {
      compare(all_tokens(vit_->forward(images, mask(size))), "out_" + size + "_masked_all");
    }
    if (has("posemb_" + size)) {
      const auto grid = vit_->grid(images.size(2), images.size(3));
      const auto pos_embed = vit_->named_parameters()["pos_embed"];
      const bool native = images.size(2) == images.size(3) && grid.size() == pos_embed.size(1) - 1;
      compare(nn::interpolate_pos_embed(pos_embed, grid.rows, grid.columns, native),
              "posemb_" + size);
    }
  }

  void check_native() const {
    const auto images = at("in_native");
    compare(vit_->embed(images), "tokens_native");
    compare(vit_->embed(images, mask("native")), "tokens_native_masked");
    compare(vit_->forward_selected(images, {}, {}).class_token, "out_native_cls");
    compare(vit_->last_attention(images), "last_attn_native");
    for (const int64_t count : {1, 2, 3, 4, 5}) {
      if (!has("inter_n" + std::to_string(count) + "_0")) continue;
      const auto outputs = vit_->intermediate(images, count);
      for (int64_t i = 0; i < count; ++i) {
        compare(all_tokens(outputs[i]),
                "inter_n" + std::to_string(count) + "_" + std::to_string(i));
      }
    }
  }

  /// The reference takes mean patch tokens from a network built without the final norm.
  void check_mean_patch_token() const {
    const auto last = at("inter_n1_0");
    EXPECT_TRUE(near(vit_->mean_patch_token(at("in_native")),
                     last.narrow(1, 1, last.size(1) - 1).mean(1), tolerance_));
  }

  void check_gradients() const {
    if (!has("grad_r")) return;
    auto images = at("in_native").clone().set_requires_grad(true);
    const auto output = all_tokens(vit_->forward(images, mask("native")));
    (output * at("grad_r")).sum().backward();
    compare(images.grad(), "grad_in_native_masked");
    for (const auto& parameter : vit_->named_parameters()) {
      compare(parameter.value().grad(), "grad." + parameter.key());
    }
  }

 private:
  Tensors tensors_;
  Tolerance tolerance_;
  std::shared_ptr<VisionTransformer> vit_;
};

TEST(VisionTransformerGolden, MatchesTheReference) {
  for (const auto& golden : testing::golden_cases("01_vit")) {
    SCOPED_TRACE(golden.name);
    const Case vit(golden);
    vit.check_size("native");
    for (const auto& size : golden.json["sizes_HxW"]) {
      vit.check_size(std::to_string(size[0].get<int>()) + "x" + std::to_string(size[1].get<int>()));
    }
    vit.check_native();
    if (golden.json["config"].value("use_mean_pooling", false)) vit.check_mean_patch_token();
    vit.check_gradients();
  }
}

}  // namespace
}  // namespace ibot::models
