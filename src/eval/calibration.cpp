#include "ibot/eval/calibration.h"

#include <algorithm>
#include <cmath>

namespace ibot::eval {

int64_t calibration_bins(int64_t images, int64_t bin) { return images / bin; }

std::optional<double> rms_calibration_error(const torch::Tensor& confidence,
                                            const torch::Tensor& correct, int64_t bin) {
  const auto images = confidence.size(0);
  const auto bins = calibration_bins(images, bin);
  if (bins == 0) return std::nullopt;
  const auto order = confidence.argsort(/*stable=*/true, /*dim=*/0, /*descending=*/false);
  const auto sorted = confidence.index_select(0, order).to(torch::kDouble);
  const auto right = correct.index_select(0, order).to(torch::kDouble);
  double sum = 0.0;
  // The official loop skips the last bin, which takes the rest; a single bin is kept here, as
  // skipping it would leave nothing.
  const auto used = std::max<int64_t>(bins - 1, 1);
  for (int64_t i = 0; i < used; ++i) {
    const auto size = bins == 1 ? images : bin;
    const auto gap = sorted.narrow(0, i * bin, size).mean() - right.narrow(0, i * bin, size).mean();
    // Root of the mean over images of (confidence - accuracy)² of their bin.
    sum +=
        static_cast<double>(size) / static_cast<double>(images) * std::pow(gap.item<double>(), 2);
  }
  return std::sqrt(sum);
}

double aurra(const torch::Tensor& confidence, const torch::Tensor& correct) {
  const auto order = confidence.argsort(/*stable=*/true, /*dim=*/0, /*descending=*/true);
  const auto hits = correct.index_select(0, order).to(torch::kDouble).cumsum(0);
  // Accuracy of the k most confident, averaged over all k.
  return (hits / torch::arange(1, hits.size(0) + 1, torch::kDouble)).mean().item<double>();
}

}  // namespace ibot::eval
