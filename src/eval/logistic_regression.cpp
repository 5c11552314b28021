#include "ibot/eval/logistic_regression.h"

#include <torch/optim/lbfgs.h>
#include <torch/utils.h>

#include <algorithm>
#include <limits>

namespace ibot::eval {
namespace {

// Rows of float64 scores at a time: 4096 x 1000 classes take 33 MB.
constexpr int64_t kRowsAtOnce = 4096;
// Iterations between two looks at the gap.
constexpr int64_t kRound = 10;

/// Mean loss, mean entropy of the predictions, and the gradient of the mean loss.
struct Terms {
  double loss = 0;
  double entropy = 0;
  torch::Tensor gradient;  // [C, F] float64
};

/// The problem for one λ; remembers the best lower bound that it has met.
class Problem {
 public:
  Problem(const FeatureBank& train, double lambda)
      : features_(unit_length(train.features)),
        labels_(train.labels.to(train.features.device())),
        // λ_n = λ / n; the official script leaves the division out (ibot#21).
        penalty_(lambda / static_cast<double>(train.features.size(0))) {}

  /// f at `weights` and its gradient in `gradient`.
  double evaluate(const torch::Tensor& weights, torch::Tensor& gradient) {
    const auto terms = data_terms(weights);
    const double squared = weights.square().sum().item<double>();
    // f(W) = mean loss + (λ_n / 2) ‖W‖². With G the gradient of the mean loss, mean entropy - ‖G‖²
    // / (2 λ_n) is at most the minimum and equals it at the optimum.
    gradient = terms.gradient + weights * penalty_;
    const double dual =
        terms.entropy - terms.gradient.square().sum().item<double>() / (2 * penalty_);
    best_dual_ = std::max(best_dual_, dual);
    return terms.loss + penalty_ / 2 * squared;
  }

  // Relative gap; the best bound of all evaluations counts.
  double gap(double objective) const { return (objective - best_dual_) / objective; }

 private:
  Terms data_terms(const torch::Tensor& weights) const {
    const int64_t count = features_.size(0);
    auto loss = torch::zeros({}, weights.options());
    auto entropy = torch::zeros({}, weights.options());
    auto gradient = torch::zeros_like(weights);
    for (int64_t start = 0; start < count; start += kRowsAtOnce) {
      const auto x = features_.slice(0, start, start + kRowsAtOnce).to(torch::kDouble);
      const auto label = labels_.slice(0, start, start + kRowsAtOnce).unsqueeze(1);
      const auto log_p = x.mm(weights.t()).log_softmax(1);  // [R, C]
      const auto p = log_p.exp();
      loss -= log_p.gather(1, label).sum();
      entropy -= (p * log_p).sum();
      // p - e_y of each row: [R, C].
      const auto residual = p.scatter_add(1, label, torch::full_like(label, -1, p.options()));
      gradient.addmm_(residual.t(), x);
    }
    const auto n = static_cast<double>(count);
    return {loss.item<double>() / n, entropy.item<double>() / n, gradient / n};
  }

  torch::Tensor features_;
  torch::Tensor labels_;
  double penalty_;
  double best_dual_ = -std::numeric_limits<double>::infinity();
};

void check_classes(const FeatureBank& train, int64_t classes) {
  const bool several = train.labels.min().item<int64_t>() != train.labels.max().item<int64_t>();
  IBOT_CHECK(several, "logistic: expected at least two classes of training images, got one");
  IBOT_CHECK(train.labels.max().item<int64_t>() < classes, "logistic: expected labels below ",
             classes, ", got ", train.labels.max().item<int64_t>());
}

}  // namespace

LogisticFit fit_logistic(const FeatureBank& train, int64_t classes, double lambda,
                         const LogisticOptions& options, const LogisticProgress& progress) {
  check_classes(train, classes);
  check_finite(train.features, "logistic", "training features");
  Problem problem(train, lambda);
  LogisticFit fit;
  fit.weights = torch::zeros({classes, train.features.size(1)},
                             train.features.options().dtype(torch::kDouble))
                    .requires_grad_();
  torch::optim::LBFGS solver({fit.weights}, torch::optim::LBFGSOptions(1)
                                                .max_iter(kRound)
                                                .max_eval(4 * kRound)
                                                // The gap alone decides when to stop.
                                                .tolerance_grad(0)
                                                .tolerance_change(0)
                                                .history_size(20)
                                                .line_search_fn("strong_wolfe"));
  const auto evaluate = [&] {
    const torch::NoGradGuard no_grad;
    torch::Tensor gradient;
    fit.objective = problem.evaluate(fit.weights, gradient);
    fit.weights.mutable_grad() = gradient;
    return torch::tensor(fit.objective, torch::kDouble);
  };
  while (fit.iterations < options.max_iterations) {
    solver.step(evaluate);
    fit.iterations += kRound;
    evaluate();
    fit.gap = problem.gap(fit.objective);
    if (progress) progress(fit.iterations, fit.gap);
    if (fit.gap <= options.tolerance) break;
  }
  fit.weights = fit.weights.detach();
  return fit;
}

double logistic_top1(const LogisticFit& fit, const FeatureBank& test) {
  check_finite(test.features, "logistic", "test features");
  const torch::NoGradGuard no_grad;
  const auto labels = test.labels.to(test.features.device());
  const auto features = unit_length(test.features);
  int64_t right = 0;
  for (int64_t start = 0; start < features.size(0); start += kRowsAtOnce) {
    const auto scores =
        features.slice(0, start, start + kRowsAtOnce).to(torch::kDouble).mm(fit.weights.t());
    right += scores.argmax(1).eq(labels.slice(0, start, start + kRowsAtOnce)).sum().item<int64_t>();
  }
  return 100.0 * static_cast<double>(right) / static_cast<double>(features.size(0));
}

}  // namespace ibot::eval
