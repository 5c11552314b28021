#include <gtest/gtest.h>

#include <cmath>

#include "ibot/eval/detect_step.h"
#include "ibot/eval/segment_tuner.h"
#include "support/device_double.h"
#include "support/expect_tensor.h"
#include "support/tiny_detector.h"

// Segmentation and detection on a device that is not the CPU.
namespace ibot::testing {
namespace {

using Crossings = std::vector<std::string>;

constexpr Tolerance kDenseOrder{.rtol = 1e-3, .atol = 2e-5};

models::BackboneOptions tiny_vit(int64_t patch_size) {
  return {.arch = "vit_tiny",
          .patch_size = patch_size,
          .image_size = 32,
          .embed_dim = 16,
          .depth = {4},
          .heads = {2}};
}

eval::SegmentOptions segment_options(segmentation::HeadKind head, optim::Precision precision) {
  eval::SegmentOptions options;
  options.head = head;
  options.channels = 8;
  options.drop_path = 0.2;
  options.batch_size = 2;
  options.clip_grad = 1.0;
  options.transform.crop_size = 32;
  options.run.precision = precision;
  return options;
}

/// Steps of a segmentor on normalized images.
class SegmentSteps {
 public:
  SegmentSteps(const eval::SegmentOptions& options, torch::Device device)
      : options_(options),
        network_(eval::make_segmentor(
            eval::segmentor_options(options, tiny_vit(options.head == kLinear ? 16 : 8), 3), 0)),
        step_(eval::make_segment_step(options, network_, device)) {
    const auto values = torch::arange(2 * 3 * 32 * 32).remainder(29).view({2, 3, 32, 32});
    images_ = (values.to(torch::kFloat) / 14 - 1).to(device);
    labels_ = values.select(1, 0).remainder(3).to(torch::kByte).to(device);
  }

  torch::Tensor take(int64_t pass) {
    network_->set_context(step_->context(pass));
    const auto loss =
        eval::segment_losses(*network_, images_, labels_, options_.run.precision).total;
    step_->accumulate(loss, /*last=*/true);
    step_->update({.lr = 1e-3, .weight_decay = 0.05});
    return loss.detach();
  }

  static constexpr auto kLinear = segmentation::HeadKind::kLinear;

 private:
  eval::SegmentOptions options_;
  std::shared_ptr<segmentation::Segmentor> network_;
  std::unique_ptr<eval::GradientStep> step_;
  torch::Tensor images_, labels_;
};

struct SegmentOnDouble : ::testing::TestWithParam<segmentation::HeadKind> {};

TEST_P(SegmentOnDouble, StepsAreThoseOfTheCpu) {
  const auto options = segment_options(GetParam(), optim::Precision::kFp32);
  SegmentSteps here(options, torch::kCPU), there(options, device_double());
  for (int64_t pass = 0; pass < 3; ++pass) {
    EXPECT_TENSOR_NEAR(there.take(pass), here.take(pass), kDenseOrder);
  }
}

TEST_P(SegmentOnDouble, NoStepWaits) {
  for (const auto precision :
       {optim::Precision::kFp32, optim::Precision::kBf16, optim::Precision::kFp16}) {
    SegmentSteps steps(segment_options(GetParam(), precision), device_double());
    const DeviceWatch watch;
    for (int64_t pass = 0; pass < 2; ++pass) steps.take(pass);
    EXPECT_EQ(watch.crossings(), Crossings{});
  }
}

INSTANTIATE_TEST_SUITE_P(Heads, SegmentOnDouble,
                         ::testing::Values(segmentation::HeadKind::kUper,
                                           segmentation::HeadKind::kLinear),
                         [](const auto& head) {
                           return head.param == SegmentSteps::kLinear ? "linear" : "uper";
                         });

eval::DetectOptions detect_options(optim::Precision precision) {
  auto options = tiny_detect_options();
  options.run.precision = precision;
  return options;
}

class DetectSteps {
 public:
  DetectSteps(const eval::DetectOptions& options, torch::Device device)
      : step_(options, tiny_detector_backbone(), detector_of(options), device) {}

  torch::Tensor take(int64_t number) {
    const auto result = step_.backward(detection_batch({0, 1}), {}, number);
    step_.training().update({.lr = 1e-3, .weight_decay = 0.05});
    return result.loss.detach();
  }

 private:
  static detection::Detector detector_of(const eval::DetectOptions& options) {
    auto detector = eval::build_detector(options, tiny_detector_backbone(), 3);
    eval::initialize_(*detector, 5);
    return detector;
  }

  eval::DetectStep step_;
};

TEST(DetectOnDouble, StepsAreThoseOfTheCpu) {
  const auto options = detect_options(optim::Precision::kFp32);
  DetectSteps here(options, torch::kCPU), there(options, device_double());
  for (int64_t number = 0; number < 3; ++number) {
    EXPECT_TENSOR_NEAR(there.take(number), here.take(number), kDenseOrder);
  }
}

// How many boxes are chosen is known on the host alone, and regions without a kernel of the
// device's own are aligned there; so a step waits, but not more often than it does today.
TEST(DetectOnDouble, HalfPrecisionTrainsAndWaitsForChoicesAlone) {
  for (const auto precision : {optim::Precision::kBf16, optim::Precision::kFp16}) {
    DetectSteps steps(detect_options(precision), device_double());
    const DeviceWatch watch;
    const auto loss = steps.take(0);
    EXPECT_LE(watch.crossings().size(), 300u);
    EXPECT_TRUE(std::isfinite(loss.to(torch::kCPU).item<float>()));
  }
}

}  // namespace
}  // namespace ibot::testing
