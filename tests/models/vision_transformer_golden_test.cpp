#include <gtest/gtest.h>

#include "ibot/models/vision_transformer.h"
#include "ibot/nn/pos_embed.h"
#include "support/golden_options.h"
#include "support/golden_tensors.h"
#include "support/test_device.h"
#include "support/weights.h"

namespace ibot::models {
namespace {

using testing::GoldenCase;

/// One case: the backbone with its weights, and the tensors it is compared with.
class VitCase {
 public:
  explicit VitCase(const GoldenCase& golden)
      : expected_(testing::on_test_device(golden.tensors()),
                  testing::on_test_device(golden.tolerance())) {
    const auto options = testing::backbone_options_of(golden.json["config"]);
    vit_ = std::make_shared<VisionTransformer>(options, vit_shape(options), Role::kStudent);
    testing::load_weights(*vit_, golden.tensors("weights"));
    vit_->to(testing::test_device());
    vit_->eval();
  }

  void check(const std::vector<std::string>& sizes) const {
    check_size("native");
    for (const auto& size : sizes) check_size(size);
    check_native();
    check_masked();
    expected_.expect_all_used();
  }

  /// The reference takes mean patch tokens from a network built without the final norm.
  void check_mean_patch_token() const {
    const auto last = expected_.at("inter_n1_0");
    expect_near(vit_->mean_patch_token(expected_.at("in_native")),
                last.narrow(1, 1, last.size(1) - 1).mean(1));
  }

 private:
  void expect_near(const torch::Tensor& actual, const torch::Tensor& expected) const {
    EXPECT_TRUE(testing::near(actual, expected, testing::on_test_device(testing::Tolerance())));
  }

  torch::Tensor mask(const std::string& size) const {
    return expected_.at("mask_" + size).flatten(1).to(torch::kBool);
  }

  /// Everything stored for one image size.
  void check_size(const std::string& size) const {
    const auto images = expected_.at("in_" + size);
    const auto output = vit_->forward(images);
    expected_.compare(testing::all_tokens(output), "out_" + size + "_all");
    expect_near(vit_->forward_selected(images, {}, {}).class_token, output.class_token);
    if (expected_.has("out_" + size + "_masked_all")) {
      expected_.compare(testing::all_tokens(vit_->forward(images, mask(size))),
                        "out_" + size + "_masked_all");
    }
    if (expected_.has("posemb_" + size)) {
      const auto grid = vit_->grid(images.size(2), images.size(3));
      const auto pos_embed = vit_->named_parameters()["pos_embed"];
      const bool native = images.size(2) == images.size(3) && grid.size() == pos_embed.size(1) - 1;
      expected_.compare(nn::interpolate_pos_embed(pos_embed, grid.rows, grid.columns, native),
                        "posemb_" + size);
    }
  }

  void check_native() const {
    const auto images = expected_.at("in_native");
    expected_.compare(vit_->embed(images), "tokens_native");
    expected_.compare(vit_->forward_selected(images, {}, {}).class_token, "out_native_cls");
    expected_.compare(vit_->last_attention(images), "last_attn_native");
    for (const int64_t count : expected_.counts("inter_n")) {
      const auto outputs = vit_->intermediate(images, count);
      for (int64_t i = 0; i < count; ++i) {
        expected_.compare(testing::all_tokens(outputs[i]), concat("inter_n", count, "_", i));
      }
    }
  }

  void check_masked() const {
    if (expected_.has("tokens_native_masked")) {
      expected_.compare(vit_->embed(expected_.at("in_native"), mask("native")),
                        "tokens_native_masked");
    }
    if (!expected_.has("grad_r")) return;
    auto images = expected_.at("in_native").clone().set_requires_grad(true);
    const auto output = testing::all_tokens(vit_->forward(images, mask("native")));
    (output * expected_.at("grad_r")).sum().backward();
    expected_.compare(images.grad(), "grad_in_native_masked");
    for (const auto& parameter : vit_->named_parameters()) {
      expected_.compare(parameter.value().grad(), "grad." + parameter.key());
    }
  }

  testing::GoldenTensors expected_;
  std::shared_ptr<VisionTransformer> vit_;
};

TEST(VisionTransformerGolden, MatchesTheReference) {
  for (const auto& golden : testing::golden_cases("01_vit")) {
    SCOPED_TRACE(golden.name);
    std::vector<std::string> sizes;
    for (const auto& size : golden.json["sizes_HxW"].elements()) {
      sizes.push_back(concat(size[0].get<int64_t>(), "x", size[1].get<int64_t>()));
    }
    const VitCase vit(golden);
    vit.check(sizes);
    if (golden.json["config"]["use_mean_pooling"]) vit.check_mean_patch_token();
    golden.json.expect_all_read();
  }
}

}  // namespace
}  // namespace ibot::models
