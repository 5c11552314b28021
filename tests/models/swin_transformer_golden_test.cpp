#include <gtest/gtest.h>

#include "ibot/models/swin_transformer.h"
#include "support/golden_options.h"
#include "support/golden_tensors.h"
#include "support/test_device.h"
#include "support/weights.h"

namespace ibot::models {
namespace {

using testing::GoldenCase;

/// One case: the backbone with its weights, and the tensors it is compared with.
class SwinCase {
 public:
  explicit SwinCase(const GoldenCase& golden)
      : expected_(testing::on_test_device(golden.tensors()),
                  testing::on_test_device(golden.tolerance())) {
    const auto options = testing::backbone_options_of(golden.json["config"]);
    swin_ = std::make_shared<SwinTransformer>(options, swin_shape(options), Role::kStudent);
    testing::load_weights(*swin_, golden.tensors("weights"));
    swin_->to(testing::test_device());
    swin_->eval();
  }

  void check() const {
    for (const auto& size : expected_.endings("in_")) check_size(size);
    check_masks();
    check_blocks();
    check_attention();
    check_gradients();
    expected_.expect_all_used();
  }

 private:
  torch::Tensor mask(const std::string& name) const {
    return expected_.at("mask_" + name).flatten(1).to(torch::kBool);
  }

  void check_size(const std::string& size) const {
    const auto images = expected_.at("in_" + size);
    const auto output = swin_->forward(images);
    expected_.compare(testing::all_tokens(output), "out_" + size + "_all");
    expected_.compare(output.class_token, "out_" + size + "_cls");
    const auto grid = swin_->grid(images.size(2), images.size(3));
    EXPECT_EQ(grid.size(), output.patch_tokens.size(1)) << size;
  }

  void check_masks() const {
    const auto images = expected_.at("in_native");
    for (const auto& [name, ending] :
         {std::pair{"native", "_masked_all"}, {"fullres", "_maskedfullres_all"}}) {
      if (!expected_.has(concat("mask_", name))) continue;
      expected_.compare(testing::all_tokens(swin_->forward(images, mask(name))),
                        concat("out_native", ending));
    }
  }

  void check_blocks() const {
    const auto images = expected_.at("in_native");
    for (const int64_t count : expected_.counts("inter_n")) {
      const auto one = swin_->intermediate(images.narrow(0, 0, 1), count);
      for (int64_t i = 0; i < count; ++i) {
        expected_.compare(testing::all_tokens(one[i]), concat("inter_n", count, "_", i));
      }
    }
    for (const int64_t count : expected_.counts("inter_pooled_n")) {
      const auto whole = swin_->intermediate(images, count);
      for (int64_t i = 0; i < count; ++i) {
        expected_.compare(whole[i].class_token, concat("inter_pooled_n", count, "_", i));
      }
    }
  }

  void check_attention() const {
    const auto first = expected_.at("in_native").narrow(0, 0, 1);
    if (expected_.has("last_attn_native")) {
      expected_.compare(swin_->last_attention(first), "last_attn_native");
    }
    const auto attentions = swin_->attentions(first);
    for (const int64_t block : expected_.counts("attn_all_")) {
      expected_.compare(attentions.at(block), concat("attn_all_", block));
    }
  }

  void check_gradients() const {
    if (!expected_.has("grad_r")) return;
    auto images = expected_.at("in_native").clone().set_requires_grad(true);
    const auto output = testing::all_tokens(swin_->forward(images, mask("native")));
    (output * expected_.at("grad_r")).sum().backward();
    expected_.compare(images.grad(), "grad_in_native_masked");
    for (const auto& parameter : swin_->named_parameters()) {
      expected_.compare(parameter.value().grad(), "grad." + parameter.key());
    }
  }

  testing::GoldenTensors expected_;
  std::shared_ptr<SwinTransformer> swin_;
};

TEST(SwinTransformerGolden, MatchesTheReference) {
  for (const auto& golden : testing::golden_cases("02_swin")) {
    SCOPED_TRACE(golden.name);
    SwinCase(golden).check();
    golden.json.expect_all_read();
  }
}

}  // namespace
}  // namespace ibot::models
