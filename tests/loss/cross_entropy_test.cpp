#include "ibot/loss/cross_entropy.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "ibot/base/error.h"
#include "support/expect_tensor.h"

namespace ibot::loss {
namespace {

constexpr double kTemperature = 0.1;

torch::Tensor by_framework(const torch::Tensor& logits, const torch::Tensor& targets) {
  return -(targets * (logits.to(torch::kFloat) / kTemperature).log_softmax(-1)).sum(-1);
}

// Rows enough to pass in several parts; targets that sum to 1, to more and to nothing.
struct CrossEntropyCase {
  explicit CrossEntropyCase(torch::ScalarType dtype) {
    torch::manual_seed(0);
    logits = (torch::randn({70, 8192}) / 5).to(dtype).set_requires_grad(true);
    targets = torch::randn({70, 8192}).softmax(-1);
    targets[3] *= 2.0;
    targets[4] *= 0.0;
    weight = torch::rand({70});
  }

  torch::Tensor logits, targets, weight;
};

TEST(CrossEntropy, ValueAndGradientAreTheFrameworks) {
  for (const auto dtype : {torch::kFloat, torch::kBFloat16}) {
    const CrossEntropyCase c(dtype);
    const auto lean = cross_entropy(c.logits, c.targets, kTemperature);
    const auto plain = by_framework(c.logits, c.targets);
    EXPECT_TENSOR_NEAR(lean, plain, {1e-6, 1e-6});
    const auto gradient = [&](const torch::Tensor& loss) {
      return torch::autograd::grad({loss.dot(c.weight)}, {c.logits})[0];
    };
    const auto actual = gradient(lean);
    EXPECT_EQ(actual.scalar_type(), dtype);
    EXPECT_TENSOR_NEAR(actual, gradient(plain), {dtype == torch::kFloat ? 1e-4 : 1.0 / 128, 1e-6});
  }
}

TEST(CrossEntropy, TargetsAreComputedAgainForEachPass) {
  const CrossEntropyCase c(torch::kFloat);
  int64_t rows = 0;
  const TargetRows targets({c.targets}, [&rows](const auto& sources, int64_t first, int64_t count) {
    rows += count;
    return sources[0].narrow(0, first, count) * 3.0;
  });
  cross_entropy(c.logits, targets, kTemperature).sum().backward();
  EXPECT_EQ(rows, 2 * 70);
  const auto expected =
      torch::autograd::grad({by_framework(c.logits, c.targets * 3.0).sum()}, {c.logits})[0];
  EXPECT_TENSOR_NEAR(c.logits.grad(), expected, {1e-4, 1e-5});
}

TEST(CrossEntropy, RefusesTargetsOfAnotherShape) {
  const auto logits = torch::zeros({3, 4});
  EXPECT_THROW(cross_entropy(logits, torch::zeros({3, 5}), 1.0), Error);
}

TEST(CrossEntropy, RefusesGradientsOfGradients) {
  const auto logits = torch::zeros({3, 4}).set_requires_grad(true);
  const auto loss = cross_entropy(logits, torch::full({3, 4}, 0.25), 1.0).square().sum();
  EXPECT_THROW(torch::autograd::grad({loss}, {logits}, {}, true, /*create_graph=*/true), Error);
}

}  // namespace
}  // namespace ibot::loss
