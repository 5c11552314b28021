// Multinomial logistic regression on frozen features.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/eval/features.h"

namespace ibot::eval {

struct LogisticOptions {
  std::vector<double> lambda{0.01, 0.1, 1.0};
  double tolerance = 1e-7;
  int64_t max_iterations = 2000;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("lambda", lambda, "weights of the L2 penalty, against the sum of all losses");
    field("tolerance", tolerance, "relative duality gap at which the solver stops");
    field("max_iterations", max_iterations, "of the solver; reaching it is reported");
  }

  void validate() const {
    check_option(!lambda.empty(), "lambda", "expected at least one number");
    for (const double value : lambda) {
      check_option(value > 0, "lambda", "expected above 0, got ", value);
    }
    check_option(tolerance > 0, "tolerance", "expected above 0, got ", tolerance);
    check_option(max_iterations > 0, "max_iterations", "expected above 0, got ", max_iterations);
  }
};

/// A classifier, and how near it is to the only optimum.
///
///   weights    [C, F]   float64
///   objective  mean loss + penalty
///   gap        (objective - best dual value) / objective: an upper bound of the relative excess
struct LogisticFit {
  torch::Tensor weights;
  double objective = 0;
  double gap = 0;
  int64_t iterations = 0;
};

/// Receives the iterations so far and the duality gap.
using LogisticProgress = std::function<void(int64_t iterations, double gap)>;

/// Minimises over W, from 0, without intercept,
///
///   f(W) = 1/n Σ_i [log Σ_c exp(w_c·x_i) - w_{y_i}·x_i] + λ/(2n) |W|²,   x_i of length 1.
///
/// The reference hands its solver λ where λ/n is meant, which leaves the weights near zero; here
/// the penalty is the documented one. Solved by L-BFGS with strong Wolfe steps in float64; the dual
/// value 1/n Σ_i H(p_i) - n/(2λ) |G|², with p_i the predictions and G the gradient of the mean
/// loss, bounds the minimum from below at every W.
///
/// Throws Error on fewer than two classes in the bank and on features that are not finite.
/// Source: evaluation/eval_logistic_regression.py of the reference implementation.
LogisticFit fit_logistic(const FeatureBank& train, int64_t classes, double lambda,
                         const LogisticOptions& options, const LogisticProgress& progress = {});

/// Share in percent of the images whose class has the largest score. Throws Error on features that
/// are not finite.
double logistic_top1(const LogisticFit& fit, const FeatureBank& test);

}  // namespace ibot::eval
