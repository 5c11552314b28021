#include "ibot/eval/robustness.h"

#include <cmath>

namespace ibot::eval {
namespace {

double percent_of(const torch::Tensor& marks) {
  return 100.0 * marks.to(torch::kDouble).mean().item<double>();
}

/// In percent, of what is there.
std::optional<double> mean_percent(const torch::Tensor& errors) {
  const auto mean = errors.nanmean().item<double>();
  return std::isnan(mean) ? std::nullopt : std::optional(100.0 * mean);
}

}  // namespace

double mapped_accuracy(const torch::Tensor& predictions, const torch::Tensor& targets,
                       const torch::Tensor& class_of) {
  // Classes outside of the nine map to -1, which no target is.
  return percent_of(class_of.index_select(0, predictions) == targets);
}

double vulnerable_percent(const torch::Tensor& predicted, const torch::Tensor& classes) {
  // [foregrounds, backgrounds]: one background that misleads is enough.
  return percent_of((predicted != classes.unsqueeze(1)).any(1));
}

torch::Tensor composites(const torch::Tensor& foreground, const torch::Tensor& backgrounds,
                         const torch::Tensor& mask, const batch::Normalization& normalization) {
  const auto channel = [&](const std::array<double, 3>& values) {
    return torch::tensor({values[0], values[1], values[2]}, torch::kFloat)
        .to(backgrounds.device())
        .view({3, 1, 1});
  };
  return (backgrounds * (1 - mask) + foreground * mask)
      .clamp(0, 1)
      .sub_(channel(normalization.mean))
      .div_(channel(normalization.std));
}

CorruptionErrors corruption_errors(const torch::Tensor& error, int64_t benchmark) {
  CorruptionErrors result;
  for (const auto& severities : error.unbind(0)) result.each.push_back(mean_percent(severities));
  // Of each corruption first, so that one with fewer severities counts as much.
  const auto each = error.nanmean(1);
  result.mean = mean_percent(each);
  result.benchmark_mean = mean_percent(each.narrow(0, 0, benchmark));
  return result;
}

RestrictedPrediction restricted_prediction(const torch::Tensor& logits,
                                           const torch::Tensor& classes) {
  // The softmax is over the chosen classes alone.
  const auto [confidence, prediction] = logits.index_select(1, classes).softmax(1).max(1);
  return {prediction, confidence};
}

}  // namespace ibot::eval
