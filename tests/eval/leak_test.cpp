// Evaluations must not see labels that they are tested on: with permuted training labels, every one
// of them falls to chance.
#include <gtest/gtest.h>
#include <torch/utils.h>

#include <cmath>
#include <functional>

#include "ibot/eval/knn.h"
#include "ibot/eval/linear_heads.h"
#include "ibot/eval/logistic_regression.h"

namespace ibot::eval {
namespace {

constexpr int64_t kClasses = 5;
constexpr int64_t kTest = 1000;

/// Separable classes: the features tell the label.
FeatureBank separable(int64_t count, const torch::Tensor& centres) {
  const auto labels = torch::randint(kClasses, {count}, torch::kLong);
  return {centres.index_select(0, labels) + 0.3 * torch::randn({count, 8}), labels,
          torch::arange(count), ""};
}

using Evaluation = std::function<double(const FeatureBank& train, const FeatureBank& test)>;

void expect_no_leak(const Evaluation& top1) {
  torch::manual_seed(11);
  const auto centres = torch::randn({kClasses, 8});
  const auto train = separable(500, centres);
  const auto test = separable(kTest, centres);
  EXPECT_GT(top1(train, test), 90);
  double sum = 0;
  constexpr int kTrials = 10;
  for (int trial = 0; trial < kTrials; ++trial) {
    auto permuted = train;
    permuted.labels = train.labels.index_select(0, torch::randperm(500, torch::kLong));
    sum += top1(permuted, test);
  }
  // All images of a class can go the same way, so a class counts as one draw of five.
  const double chance = 100.0 / kClasses;
  const double deviation = 100 * std::sqrt(0.2 * 0.8 / (kClasses * kTrials));
  EXPECT_NEAR(sum / kTrials, chance, 4 * deviation);
}

TEST(Leak, KnnFallsToChance) {
  expect_no_leak([](const auto& train, const auto& test) {
    return classify_knn(train, test, {{20}, 0.07}).at(0).top1;
  });
}

TEST(Leak, LogisticRegressionFallsToChance) {
  expect_no_leak([](const auto& train, const auto& test) {
    return logistic_top1(fit_logistic(train, kClasses, 1.0, {}), test);
  });
}

TEST(Leak, LinearHeadsFallToChance) {
  expect_no_leak([](const auto& train, const auto& test) {
    LinearHeads heads({{0.1, 0, false}}, 8, kClasses, 0, torch::kCPU);
    for (int64_t step = 0; step < 200; ++step) heads.step(train.features, train.labels, 1.0);
    return 100.0 * heads.hits(test.features, test.labels).top1.template item<double>() / kTest;
  });
}

}  // namespace
}  // namespace ibot::eval
