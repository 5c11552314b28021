// Multinomial logistic regression on frozen features.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>

#include "ibot/eval/features.h"
#include "ibot/eval/logistic_options.h"

namespace ibot::eval {

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

/// Minimizes over W, from 0, without intercept,
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
