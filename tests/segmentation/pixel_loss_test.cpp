#include "ibot/segmentation/pixel_loss.h"

#include <gtest/gtest.h>

#include "ibot/metrics/segmentation.h"
#include "ibot/segmentation/heads.h"
#include "support/golden.h"

namespace ibot::segmentation {
namespace {

using ::ibot::testing::near;

constexpr int64_t kClasses = 5;

struct Drawn {
  torch::Tensor logits;
  torch::Tensor labels;
};

/// Two images with labels four times as large, some of them ignored.
Drawn drawn(torch::ScalarType dtype) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(3);
  const auto logits = torch::randn({2, kClasses, 3, 4}, generator).mul(3).to(dtype);
  auto labels = torch::randint(kClasses, {2, 12, 16}, generator).to(torch::kByte);
  labels.slice(1, 2, 5).fill_(255);
  return {logits.clone().requires_grad_(), labels};
}

/// LibTorch's operators over the whole batch.
torch::Tensor whole_loss(const torch::Tensor& logits, const torch::Tensor& labels) {
  const auto sum =
      at::cross_entropy_loss(resized(logits.to(torch::kFloat), labels.sizes().slice(1)),
                             labels.to(torch::kLong), {}, at::Reduction::Sum, 255);
  return sum / static_cast<double>(labels.numel());
}

TEST(PixelLoss, IsLibTorchsCrossEntropyWithItsGradient) {
  const auto [logits, labels] = drawn(torch::kFloat);
  const auto copy = logits.detach().clone().requires_grad_();
  const auto loss = pixel_loss(logits, labels, {.accuracy = true});
  const auto expected = whole_loss(copy, labels);
  EXPECT_NEAR(loss.loss.item<double>(), expected.item<double>(), 1e-6);
  EXPECT_NEAR(
      loss.correct.item<double>(),
      metrics::pixel_accuracy(resized(copy, labels.sizes().slice(1)), labels.to(torch::kLong))
          .item<double>(),
      1e-6);
  // A factor on the loss reaches the gradient, as that of a loss scaler does.
  (loss.loss * 1024).backward();
  (expected * 1024).backward();
  EXPECT_TRUE(near(logits.grad(), copy.grad(), {1e-6, 1e-5}));
}

TEST(PixelLoss, GradientsOfHalfPrecisionAreComputedInFloat32) {
  const auto [logits, labels] = drawn(torch::kBFloat16);
  const auto copy = logits.detach().to(torch::kFloat).requires_grad_();
  pixel_loss(logits, labels).loss.backward();
  whole_loss(copy, labels).backward();
  EXPECT_EQ(logits.grad().scalar_type(), torch::kBFloat16);
  EXPECT_TRUE(torch::equal(logits.grad(), copy.grad().to(torch::kBFloat16)));
}

TEST(PixelLoss, AnImageWithoutLabelsAddsNothing) {
  const auto [logits, labels] = drawn(torch::kFloat);
  labels[0].fill_(255);
  pixel_loss(logits, labels).loss.backward();
  EXPECT_EQ(logits.grad()[0].abs().max().item<float>(), 0);
  EXPECT_GT(logits.grad()[1].abs().max().item<float>(), 0);
}

TEST(PixelLoss, WithoutGradientsItIsTheSame) {
  const auto [logits, labels] = drawn(torch::kFloat);
  const auto expected = pixel_loss(logits, labels).loss;
  const torch::NoGradGuard no_grad;
  const auto loss = pixel_loss(logits, labels);
  EXPECT_EQ(loss.loss.item<float>(), expected.item<float>());
  EXPECT_FALSE(loss.loss.requires_grad());
  EXPECT_FALSE(loss.correct.defined());
}

}  // namespace
}  // namespace ibot::segmentation
