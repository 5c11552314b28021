#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "ibot/eval/classifier.h"
#include "ibot/eval/features.h"
#include "ibot/eval/knn.h"
#include "ibot/models/network.h"
#include "support/device_double.h"
#include "support/expect_tensor.h"
#include "support/tiny.h"

// Evaluation on a device that is not the CPU.
namespace ibot::testing {
namespace {

/// Some batches of noise in three classes.
class NoiseSource : public batch::BatchSource<batch::LabeledBatch> {
 public:
  std::optional<batch::LabeledBatch> next() override {
    if (number_ == 4) return std::nullopt;
    const auto label = (torch::arange(5) + number_) % 3;
    const auto noise = torch::arange(5 * 3 * 16 * 16).mul(2 * ++number_ + 5).remainder(61);
    const auto image = noise.view({5, 3, 16, 16}) + label.view({5, 1, 1, 1}) * 60;
    return batch::LabeledBatch{image.to(torch::kByte), label, torch::arange(5) + 5 * number_};
  }

 private:
  int64_t number_ = 0;
};

eval::FeatureBank features_on(torch::Device device, const models::BackboneOptions& options) {
  auto backbone = models::build_backbone(options, models::Role::kTeacher);
  models::initialize_(*backbone, at::detail::createCPUGenerator(1));
  backbone->to(device);
  NoiseSource source;
  return eval::extract_features(
      *backbone, source, {.pooling = eval::Pooling::kClassAndPatchMean, .blocks = 2}, {}, device);
}

TEST(EvaluationOnDouble, FeaturesAreThoseOfTheCpu) {
  for (const auto& options : {tiny_step_options().backbone, tiny_swin()}) {
    const auto here = features_on(torch::kCPU, options);
    const auto there = features_on(device_double(), options);
    EXPECT_TRUE(there.features.is_cpu());
    EXPECT_TENSOR_NEAR(there.features, here.features);
  }
}

TEST(EvaluationOnDouble, NeighboursAreThoseOfTheCpu) {
  auto bank = features_on(torch::kCPU, tiny_step_options().backbone);
  const eval::KnnOptions options{.k = {1, 5}};
  const auto here = eval::classify_knn(bank, bank, options);
  auto far = bank;
  far.features = far.features.to(device_double());
  far.labels = far.labels.to(device_double());
  const auto there = eval::classify_knn(bank, far, options);
  for (size_t i = 0; i < here.size(); ++i) {
    EXPECT_EQ(there[i].top1, here[i].top1);
    EXPECT_EQ(there[i].top5, here[i].top5);
  }
}

TEST(EvaluationOnDouble, AClassifierIsTestedAsOnTheCpu) {
  eval::ClassifierOptions options;
  options.backbone = tiny_step_options().backbone;
  options.classes = 3;
  eval::Classifier classifier(options, 0);
  const auto test = [&](torch::Device device) {
    classifier.to(device);
    NoiseSource source;
    return eval::test_classifier(classifier, source, {}, device, optim::Precision::kFp32);
  };
  const auto here = test(torch::kCPU);
  const auto there = test(device_double());
  EXPECT_NEAR(there.loss, here.loss, 1e-4);
  EXPECT_EQ(there.top1, here.top1);
}

TEST(EvaluationOnDouble, AttentionMapsAreThoseOfTheCpu) {
  const auto images = torch::randn({2, 3, 16, 16});
  for (const auto& options : {tiny_step_options().backbone, tiny_swin()}) {
    auto backbone = models::build_backbone(options, models::Role::kTeacher);
    models::initialize_(*backbone, at::detail::createCPUGenerator(1));
    backbone->eval();
    const torch::NoGradGuard no_grad;
    const auto here = backbone->last_attention(images);
    backbone->to(device_double());
    EXPECT_TENSOR_NEAR(backbone->last_attention(images.to(device_double())), here);
  }
}

}  // namespace
}  // namespace ibot::testing
