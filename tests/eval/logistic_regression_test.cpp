#include "ibot/eval/logistic_regression.h"

#include <gtest/gtest.h>
#include <torch/utils.h>

#include <cmath>

#include "ibot/io/safetensors.h"
#include "support/python.h"
#include "support/temporary_folder.h"

namespace ibot::eval {
namespace {

/// Three overlapping classes in five dimensions.
FeatureBank blobs(int64_t count, uint64_t seed) {
  torch::manual_seed(seed);
  const auto centers = torch::randn({3, 5});
  const auto labels = torch::randint(3, {count}, torch::kLong);
  const auto features = centers.index_select(0, labels) + torch::randn({count, 5});
  return {features, labels, torch::arange(count), "blobs"};
}

double objective(const torch::Tensor& weights, const FeatureBank& bank, double lambda) {
  const auto x = unit_length(bank.features).to(torch::kDouble);
  const auto log_p = x.mm(weights.t()).log_softmax(1);
  const auto n = static_cast<double>(x.size(0));
  return -log_p.gather(1, bank.labels.unsqueeze(1)).sum().item<double>() / n +
         lambda / (2 * n) * weights.square().sum().item<double>();
}

TEST(Logistic, ReachesAStationaryPointOfTheDocumentedObjective) {
  const auto bank = blobs(400, 1);
  for (const double lambda : {0.01, 0.1, 1.0}) {
    const auto fit = fit_logistic(bank, 3, lambda, {.tolerance = 1e-8});
    EXPECT_LE(fit.gap, 1e-8);
    EXPECT_NEAR(fit.objective, objective(fit.weights, bank, lambda), 1e-10);
    // Strictly convex: going anywhere from the optimum is uphill.
    for (int64_t i = 0; i < fit.weights.numel(); ++i) {
      for (const double step : {-0.1, 0.1}) {
        auto moved = fit.weights.clone();
        moved.view(-1)[i] += step;
        EXPECT_GT(objective(moved, bank, lambda), fit.objective);
      }
    }
  }
}

TEST(Logistic, TheGapBoundsTheExcessOfAnEarlyStop) {
  const auto bank = blobs(400, 2);
  const double best = fit_logistic(bank, 3, 0.1, {.tolerance = 1e-10}).objective;
  const auto early = fit_logistic(bank, 3, 0.1, {.tolerance = 1e-12, .max_iterations = 10});
  EXPECT_EQ(early.iterations, 10);
  EXPECT_GE(early.gap, (early.objective - best) / early.objective - 1e-12);
}

// Two classes at opposite points: W = ±w, the problem is one number and Newton solves it.
TEST(Logistic, MatchesTheScalarProblem) {
  const FeatureBank bank{torch::tensor({{2.0f}, {-3.0f}}), torch::tensor({0, 1}, torch::kLong),
                         torch::arange(2), "two"};
  const double lambda = 0.5;
  const auto fit = fit_logistic(bank, 2, lambda, {.tolerance = 1e-12});
  double w = 0;  // f(w) = log(1 + exp(-2w)) + λ/2 w²
  for (int i = 0; i < 100; ++i) {
    const double q = 1 / (1 + std::exp(2 * w));
    w -= (-2 * q + lambda * w) / (4 * q * (1 - q) + lambda);
  }
  EXPECT_NEAR(fit.weights[0][0].item<double>(), w, 1e-6);
  EXPECT_NEAR(fit.weights[1][0].item<double>(), -w, 1e-6);
  EXPECT_EQ(logistic_top1(fit, bank), 100);
}

TEST(Logistic, RefusesOneClass) {
  auto bank = blobs(10, 3);
  bank.labels.fill_(1);
  EXPECT_THROW(fit_logistic(bank, 3, 0.1, {}), Error);
}

TEST(Logistic, AgreesWithScikitLearn) {
  if (!testing::python_has("sklearn, safetensors.torch")) {
    GTEST_SKIP() << "python3 has no sklearn or safetensors";
  }
  const testing::TemporaryFolder folder;
  const auto bank = blobs(300, 4);
  io::write_safetensors(folder / "bank.safetensors",
                        {{{"features", bank.features}, {"labels", bank.labels}}, {}});
  const auto fit = fit_logistic(bank, 3, 0.1, {});
  EXPECT_LE(fit.gap, 1e-7);
  const double theirs = std::stod(testing::python_output(
      "from safetensors.numpy import load_file\n"
      "from sklearn.linear_model import LogisticRegression\n"
      "import numpy as np\n"
      "b = load_file('" +
      (folder / "bank.safetensors").string() +
      "')\n"
      "x = b['features'].astype(np.float64)\n"
      "x /= np.linalg.norm(x, axis=1, keepdims=True)\n"
      "m = LogisticRegression(C=1 / 0.1, fit_intercept=False, tol=1e-10, max_iter=10000)\n"
      "m.fit(x, b['labels'])\n"
      "s = x @ m.coef_.T\n"
      "lse = np.log(np.exp(s).sum(1))\n"
      "f = (lse - s[np.arange(len(s)), b['labels']]).mean() + 0.1 / (2 * len(s)) * "
      "(m.coef_**2).sum()\n"
      "print(repr(float(f)))"));
  EXPECT_NEAR(fit.objective, theirs, 1e-7 * theirs);
}

}  // namespace
}  // namespace ibot::eval
