#include "ibot/eval/mask_quality.h"

#include <torch/nn/functional/padding.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "ibot/base/error.h"

namespace ibot::eval {
namespace {

/// Radius of a match as a share of the image's diagonal (Perazzi et al. 2016).
constexpr double kBound = 0.008;

/// The share of pixels of `boundary` with a pixel of `other` within the disk.
double matched_share(const torch::Tensor& boundary, const torch::Tensor& other, int64_t radius) {
  const auto points = boundary.nonzero();  // [P, 2]
  const auto point = points.accessor<int64_t, 2>();
  // Pixels of each row up to a column: whether a run of a row has one is a difference.
  const auto sums =
      torch::nn::functional::pad(other.to(torch::kInt).cumsum(1, torch::kInt),
                                 torch::nn::functional::PadFuncOptions({1, 0}));  // [H, W + 1]
  const auto sum = sums.accessor<int, 2>();
  const auto half = disk_reaches(radius);
  const int64_t height = boundary.size(0);
  const int64_t width = boundary.size(1);
  int64_t matched = 0;
  for (int64_t i = 0; i < points.size(0); ++i) {
    const int64_t y = point[i][0];
    const int64_t x = point[i][1];
    for (int64_t row = std::max<int64_t>(y - radius, 0); row <= std::min(y + radius, height - 1);
         ++row) {
      const int64_t reach = half[row - y + radius];
      const int64_t begin = std::max<int64_t>(x - reach, 0);
      const int64_t end = std::min(x + reach + 1, width);
      if (sum[row][end] == sum[row][begin]) continue;
      ++matched;
      break;
    }
  }
  return static_cast<double>(matched) / static_cast<double>(points.size(0));
}

/// Mean of values [begin, end); NaN for none.
double mean_of(const std::vector<double>& values, size_t begin, size_t end) {
  if (begin >= end) return std::numeric_limits<double>::quiet_NaN();
  const auto first = values.begin();
  return std::accumulate(first + static_cast<std::ptrdiff_t>(begin),
                         first + static_cast<std::ptrdiff_t>(end), 0.0) /
         static_cast<double>(end - begin);
}

}  // namespace

double region_similarity(const torch::Tensor& truth, const torch::Tensor& result) {
  const auto joined = truth.logical_or(result).sum().item<int64_t>();
  const auto common = truth.logical_and(result).sum().item<int64_t>();
  // An object that neither has is a perfect match.
  return joined == 0 ? 1.0 : static_cast<double>(common) / static_cast<double>(joined);
}

torch::Tensor boundary(const torch::Tensor& mask) {
  auto edges = torch::zeros_like(mask, torch::kBool);
  const int64_t rows = mask.size(0) - 1;
  const int64_t columns = mask.size(1) - 1;
  const auto differs = [&](int64_t down, int64_t right) {
    // Of pixels that have the neighbors below and to the right, those without stay as they are.
    const auto height = mask.size(0) - down;
    const auto width = mask.size(1) - right;
    return mask.narrow(0, 0, height).narrow(1, 0, width) !=
           mask.narrow(0, down, height).narrow(1, right, width);
  };
  // The last row has no row below, the last column none to the right; the last pixel has neither.
  edges.narrow(1, 0, columns).logical_or_(differs(0, 1));
  edges.narrow(0, 0, rows).logical_or_(differs(1, 0));
  edges.narrow(0, 0, rows).narrow(1, 0, columns).logical_or_(differs(1, 1));
  return edges;
}

int64_t boundary_radius(int64_t height, int64_t width) {
  const auto diagonal = std::sqrt(static_cast<double>(height * height + width * width));
  return static_cast<int64_t>(std::ceil(kBound * diagonal));
}

std::vector<int64_t> disk_reaches(int64_t radius) {
  std::vector<int64_t> reaches;
  for (int64_t dy = -radius; dy <= radius; ++dy) {
    reaches.push_back(
        static_cast<int64_t>(std::sqrt(static_cast<double>(radius * radius - dy * dy))));
  }
  return reaches;
}

double boundary_accuracy(const torch::Tensor& truth, const torch::Tensor& result) {
  const auto radius = boundary_radius(truth.size(0), truth.size(1));
  const auto wanted = boundary(truth);
  const auto found = boundary(result);
  const bool any_wanted = wanted.any().item<bool>();
  const bool any_found = found.any().item<bool>();
  if (!any_wanted && !any_found) return 1.0;
  if (!any_wanted || !any_found) return 0.0;
  const double precision = matched_share(found, wanted, radius);
  const double recall = matched_share(wanted, found, radius);
  return precision + recall == 0.0 ? 0.0 : 2.0 * precision * recall / (precision + recall);
}

FrameStatistics frame_statistics(const std::vector<double>& values) {
  IBOT_CHECK(!values.empty(), "frame statistics: expected at least one frame");
  const auto count = static_cast<double>(values.size());
  const auto above =
      std::count_if(values.begin(), values.end(), [](double value) { return value > 0.5; });
  std::array<uint8_t, 5> bounds{};
  for (size_t i = 0; i < bounds.size(); ++i) {
    const double bound = 1.0 + (count - 1.0) * static_cast<double>(i) / 4.0;
    // The reference counts frames in 8 bits.
    bounds[i] = static_cast<uint8_t>(std::llrint(bound + 1e-10) - 1);
  }
  const double first = mean_of(values, bounds[0], size_t{bounds[1]} + 1);
  const double last = mean_of(values, bounds[3], size_t{bounds[4]} + 1);
  // Mean, recall at 0.5, and decay: the first quarter's mean minus the last one's.
  return {mean_of(values, 0, values.size()), static_cast<double>(above) / count, first - last};
}

}  // namespace ibot::eval
