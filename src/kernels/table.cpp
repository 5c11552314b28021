#include "ibot/kernels/table.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/kernels.h"

namespace ibot::kernels {
namespace {

/// No multiples of a vector or a block: what is left over at their ends is tried too.
constexpr int64_t kTriedRows = 67, kTriedWidth = 203;

/// Of the values' type, with room for sums in another order.
double allowed_of(torch::ScalarType type) {
  if (type == torch::kBFloat16) return 1.0 / 64;
  return type == torch::kHalf ? 1.0 / 512 : 1e-5;
}

double difference(const torch::Tensor& own, const torch::Tensor& expected) {
  const auto wide = expected.to(torch::kCPU, torch::kDouble);
  const auto off = (own.to(torch::kCPU, torch::kDouble) - wide).abs().max().item<double>();
  const auto largest = wide.abs().max().item<double>();
  // Relative to the largest value: single small ones may be off by rounding.
  const auto relative = off / std::max(largest, std::numeric_limits<double>::min());
  // NaN where the other has a number is as wrong as can be.
  return std::isnan(relative) ? std::numeric_limits<double>::infinity() : relative;
}

std::vector<torch::Tensor> results_of(const Subject& subject) {
  subject.prepare();
  auto results = subject.run();
  // The next run writes into the same room.
  for (auto& tensor : results) tensor = tensor.clone();
  return results;
}

}  // namespace

const std::vector<TableRow>& table() {
  static const std::vector<TableRow> rows{normalize_row(),
                                          add_scaled_row(),
                                          softmax_row(),
                                          cross_entropy_row(),
                                          cross_entropy_backward_row(),
                                          softmax_backward_row(),
                                          add_scaled_backward_row(),
                                          normalize_backward_row(),
                                          align_regions_row(),
                                          align_regions_backward_row(),
                                          remaining_boxes_row()};
  return rows;
}

Difference compare(const TableRow& row, const Trial& trial) {
  Difference result{row.choice.name(), trial.type, 0.0, allowed_of(trial.type), {}};
  try {
    const auto subject = row.subject(trial);
    const auto own = results_of(subject);
    const FallbacksOnly fallbacks;
    const auto expected = results_of(subject);
    for (size_t i = 0; i < own.size(); ++i) {
      result.found = std::max(result.found, difference(own[i], expected[i]));
    }
  } catch (const std::exception& error) {
    result.found = std::numeric_limits<double>::infinity();
    result.error = error.what();
  }
  return result;
}

std::vector<Difference> compare(const TableRow& row, torch::Device device) {
  std::vector<Difference> differences;
  for (const auto type : row.types) {
    differences.push_back(
        compare(row, {.device = device, .type = type, .rows = kTriedRows, .width = kTriedWidth}));
  }
  return differences;
}

std::vector<Difference> check(torch::Device device, const std::vector<TableRow>& rows) {
  std::vector<Difference> wrong;
  for (const auto& row : rows) {
    if (!row.choice.runs_own(device.type())) continue;
    for (const auto& result : compare(row, device)) {
      if (result.found <= result.allowed) continue;
      // A kernel that is wrong in one type is not used in any.
      row.choice.use_fallback(device.type());
      wrong.push_back(result);
      break;
    }
  }
  return wrong;
}

}  // namespace ibot::kernels
