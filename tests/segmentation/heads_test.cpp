#include "ibot/segmentation/heads.h"

#include <gtest/gtest.h>

#include "ibot/segmentation/pixel_loss.h"
#include "support/golden.h"

namespace ibot::segmentation {
namespace {

using ::ibot::testing::dense_case;
using ::ibot::testing::near;

void load(SegmentationHead& head, const std::map<std::string, torch::Tensor>& weights) {
  const torch::NoGradGuard no_grad;
  auto tensors = head.named_parameters();
  for (const auto& buffer : head.named_buffers()) tensors.insert(buffer.key(), buffer.value());
  EXPECT_EQ(tensors.size(), weights.size());
  for (auto& tensor : tensors) {
    ASSERT_EQ(weights.count(tensor.key()), 1U) << tensor.key();
    tensor.value().copy_(weights.at(tensor.key()));
  }
}

/// One case: the head in evaluation, then one training pass with its loss, gradients and buffers.
class HeadCase {
 public:
  explicit HeadCase(const std::string& name)
      : golden_(dense_case("06_segmentation_heads", name)), tensors_(golden_.tensors()) {
    const auto sizes = golden_.json["config"]["feature_sizes"].elements();
    for (size_t i = 0; i < sizes.size(); ++i) {
      const auto input = tensors_.find(concat("input", i));
      features_.push_back(input == tensors_.end() ? torch::Tensor()
                                                  : input->second.clone().requires_grad_());
    }
  }

  testing::ReadJson config() const { return golden_.json["config"]; }

  void check(SegmentationHead& head) {
    load(head,
         io::read_safetensors(golden_.folder / (golden_.name + ".weights.safetensors")).tensors);
    head.eval();
    EXPECT_TRUE(is(head.forward(features_), "eval.logits"));
    head.train();
    const auto logits = head.forward(features_);
    EXPECT_TRUE(is(logits, "train.logits"));
    const auto labels = tensors_.at("labels").squeeze(1);
    const auto pixels = pixel_loss(logits, labels, {.accuracy = true});
    const auto loss = config()["loss_weight"].get<double>() * pixels.loss;
    const double expected = golden_.json["loss"];
    EXPECT_NEAR(loss.item<double>(), expected, 1e-4 * expected);
    EXPECT_NEAR(100 * pixels.correct.item<double>(),
                golden_.json["training_accuracy_percent"].get<double>(), 1e-3);
    loss.backward();
    check_gradients(head);
  }

 private:
  testing::GoldenCase golden_;
  std::map<std::string, torch::Tensor> tensors_;
  std::vector<torch::Tensor> features_;

  ::testing::AssertionResult is(const torch::Tensor& actual, const std::string& name) const {
    return near(actual, tensors_.at(name), golden_.tolerance());
  }

  void check_gradients(const SegmentationHead& head) const {
    std::map<std::string, torch::Tensor> actual;
    for (const auto& parameter : head.named_parameters()) {
      actual["grad." + parameter.key()] = parameter.value().grad();
    }
    for (const auto& buffer : head.named_buffers())
      actual["after." + buffer.key()] = buffer.value();
    for (size_t i = 0; i < features_.size(); ++i) {
      if (features_[i].defined()) actual[concat("grad.input", i)] = features_[i].grad();
    }
    int64_t compared = 0;
    for (const auto& [name, expected] : tensors_) {
      if (!name.starts_with("grad.") && !name.starts_with("after.")) continue;
      ASSERT_EQ(actual.count(name), 1U) << name;
      const double largest = expected.abs().max().item<double>();
      const auto tolerance = name.starts_with("grad.")
                                 ? testing::Tolerance{0, 1e-3 * largest + 1e-9}
                                 : golden_.tolerance();
      EXPECT_TRUE(near(actual.at(name), expected, tolerance)) << name;
      ++compared;
    }
    EXPECT_EQ(compared, static_cast<int64_t>(actual.size()));
  }
};

TEST(SegmentationHeadsDense, UperNetIsTheSame) {
  HeadCase golden("uper");
  const auto config = golden.config();
  UperHead head({.inputs = std::vector<int64_t>(4, config["in_channels"].get<int64_t>()),
                 .channels = config["channels"],
                 .classes = config["classes"],
                 .pool_scales = config["pool_scales"].get<std::vector<int64_t>>(),
                 .dropout = config["dropout"].get<double>()});
  golden.check(head);
}

TEST(SegmentationHeadsDense, TheAuxiliaryHeadIsTheSame) {
  HeadCase golden("fcn_aux");
  const auto config = golden.config();
  AuxiliaryHead head({.inputs = config["in_channels"],
                      .channels = config["channels"],
                      .classes = config["classes"],
                      .dropout = config["dropout"].get<double>()});
  golden.check(head);
}

TEST(SegmentationHeadsDense, TheLinearHeadIsTheSame) {
  HeadCase golden("linear");
  const auto config = golden.config();
  LinearHead head(config["channels"], config["classes"]);
  golden.check(head);
}

TEST(SegmentationHeads, DropWholeChannelsInTrainingAlone) {
  AuxiliaryHead head({.inputs = 4, .channels = 64, .classes = 64, .feature = 0, .dropout = 0.5});
  const torch::NoGradGuard no_grad;
  for (auto& parameter : head.named_parameters()) {
    if (parameter.key() == "conv_seg.weight") {
      parameter.value().copy_(torch::eye(64).view({64, 64, 1, 1}));
    } else if (parameter.key().ends_with("bias")) {
      parameter.value().fill_(1);
    }
  }
  const std::vector<torch::Tensor> features{torch::randn({2, 4, 5, 5})};
  head.eval();
  EXPECT_TRUE(testing::equal(head.forward(features), head.forward(features)));
  head.train();
  const auto zero = head.forward(features).eq(1).sum({2, 3});  // bias alone: [2, 64]
  const auto dropped = zero.eq(25).to(torch::kFloat).mean().item<double>();
  EXPECT_NEAR(dropped, 0.5, 0.25);
}

}  // namespace
}  // namespace ibot::segmentation
