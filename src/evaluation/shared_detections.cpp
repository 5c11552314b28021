#include "evaluation/shared_detections.h"

#include <algorithm>

namespace ibot::evaluation {
namespace {

constexpr int64_t kNumbers = 10;  // of a detection besides its runs

/// Everything as one row of float64, which holds ids and runs exactly.
torch::Tensor packed(const std::vector<metrics::Detection>& detections) {
  std::vector<double> row;
  for (const auto& detection : detections) {
    const auto& [x, y, width, height] = detection.box;
    for (const double value :
         {static_cast<double>(detection.image), static_cast<double>(detection.category),
          detection.score, x, y, width, height, static_cast<double>(detection.mask.height),
          static_cast<double>(detection.mask.width),
          static_cast<double>(detection.mask.counts.size())}) {
      row.push_back(value);
    }
    row.insert(row.end(), detection.mask.counts.begin(), detection.mask.counts.end());
  }
  return torch::tensor(row, torch::kDouble);
}

void unpack(const double* row, const double* end, std::vector<metrics::Detection>& detections) {
  while (row < end) {
    metrics::Detection detection{
        .image = static_cast<int64_t>(row[0]),
        .category = static_cast<int64_t>(row[1]),
        .score = row[2],
        .box = {row[3], row[4], row[5], row[6]},
        .mask = {static_cast<int64_t>(row[7]), static_cast<int64_t>(row[8]), {}}};
    const auto runs = static_cast<int64_t>(row[9]);
    row += kNumbers;
    for (int64_t i = 0; i < runs; ++i) {
      detection.mask.counts.push_back(static_cast<uint32_t>(*row++));
    }
    detections.push_back(std::move(detection));
  }
}

}  // namespace

std::vector<metrics::Detection> shared_detections(std::vector<metrics::Detection> own,
                                                  const dist::Group& group) {
  if (group.size() == 1) return own;
  const auto row = packed(own);
  const auto lengths = group.all_gather(torch::tensor({row.numel()}, torch::kLong)).view({-1});
  // all_gather wants equal shapes: rows are padded, and read up to their own lengths.
  const auto longest = std::max<int64_t>(lengths.max().item<int64_t>(), 1);
  auto padded = torch::zeros({longest}, torch::kDouble);
  padded.slice(0, 0, row.numel()).copy_(row);
  const auto rows = group.all_gather(padded).contiguous();  // [ranks, longest]
  std::vector<metrics::Detection> all;
  for (int64_t rank = 0; rank < group.size(); ++rank) {
    const auto* first = rows.const_data_ptr<double>() + rank * longest;
    unpack(first, first + lengths[rank].item<int64_t>(), all);
  }
  return all;
}

}  // namespace ibot::evaluation
