#include "ibot/boxes/nms.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/kernels/regions.h"
#include "kernels/box_columns.h"

namespace ibot::boxes {
namespace {

/// The factor by which a box's score falls that overlaps a better one.
float softened(float overlap, const SoftNmsOptions& options) {
  const auto threshold = static_cast<float>(options.threshold);
  switch (options.softening) {
    case Softening::kNaive:
      return overlap >= threshold ? 0 : 1;
    case Softening::kLinear:
      return overlap >= threshold ? 1 - overlap : 1;
    case Softening::kGaussian:
      return std::exp(-overlap * overlap / static_cast<float>(options.sigma));
  }
  return 1;
}

Detected chosen(const Detected& all, const torch::Tensor& numbers) {
  return {all.boxes.index_select(0, numbers), all.scores.index_select(0, numbers),
          all.labels.index_select(0, numbers)};
}

/// Every pair of box and class whose score exceeds `least_score`.
Detected candidates_of(const torch::Tensor& boxes, const torch::Tensor& scores,
                       double least_score) {
  const int64_t classes = scores.size(1) - 1;
  const auto of_class = scores.slice(1, 0, classes);           // [N, C]
  const auto candidates = (of_class > least_score).nonzero();  // [K, 2]
  const auto labels = candidates.select(1, 1);
  // Row n · C + c of [N C, 4] is class c of box n.
  const auto flat = candidates.select(1, 0) * classes + labels;
  return {boxes.reshape({-1, 4}).index_select(0, flat),
          of_class.reshape({-1}).index_select(0, flat), labels};
}

}  // namespace

torch::Tensor nms(const torch::Tensor& boxes, const torch::Tensor& scores, double threshold) {
  IBOT_CHECK(boxes.dim() == 2 && boxes.size(1) == 4 && scores.sizes() == boxes.sizes().slice(0, 1),
             "nms: expected boxes [N, 4] and scores [N], got ", boxes.sizes(), " and ",
             scores.sizes());
  // Stable, so that of equal scores the lower number comes first.
  const auto order = std::get<1>(scores.to(boxes.device())
                                     .sort(/*stable=*/true, 0,
                                           /*descending=*/true));
  const auto sorted = boxes.to(torch::kFloat).index_select(0, order);
  const auto kept = kernels::remaining_boxes(sorted, threshold).nonzero().view({-1});
  return order.index_select(0, kept);
}

torch::Tensor grouped_nms(const torch::Tensor& boxes, const torch::Tensor& scores,
                          const torch::Tensor& groups, double threshold) {
  if (boxes.numel() == 0) return torch::empty({0}, groups.options());
  // Far enough apart that boxes of different groups never overlap.
  const auto shift = groups.to(boxes.scalar_type()) * (boxes.max() + 1);
  return nms(boxes + shift.unsqueeze(1), scores, threshold);
}

Detected detect(const torch::Tensor& boxes, const torch::Tensor& scores, double least_score,
                double threshold, int64_t most) {
  const auto candidates = candidates_of(boxes, scores, least_score);
  const auto kept = grouped_nms(candidates.boxes, candidates.scores, candidates.labels, threshold);
  return chosen(candidates, kept.slice(0, 0, most));
}

SoftNms soft_nms(const torch::Tensor& boxes, const torch::Tensor& scores,
                 const SoftNmsOptions& options) {
  // Scores change with every box taken: one after the other, on the host.
  const kernels::BoxColumns columns(boxes);
  const auto all = columns.arrays();
  const auto given = scores.to(torch::kCPU, torch::kFloat).contiguous();
  std::vector<float> score(given.const_data_ptr<float>(),
                           given.const_data_ptr<float>() + given.numel());
  std::vector<int64_t> left(score.size());
  for (size_t i = 0; i < left.size(); ++i) left[i] = static_cast<int64_t>(i);
  std::vector<int64_t> kept;
  while (!left.empty()) {
    const auto best = std::max_element(left.begin(), left.end(),
                                       [&](int64_t a, int64_t b) { return score[a] < score[b]; });
    const int64_t taken = *best;
    left.erase(best);
    kept.push_back(taken);
    for (const int64_t other : left) score[other] *= softened(all.overlap(taken, other), options);
    std::erase_if(left,
                  [&](int64_t i) { return score[i] < static_cast<float>(options.least_score); });
  }
  const auto numbers = torch::tensor(kept, torch::kLong);
  return {numbers.to(scores.device()),
          torch::tensor(score, torch::kFloat).index_select(0, numbers).to(scores.device())};
}

Detected detect_softly(const torch::Tensor& boxes, const torch::Tensor& scores, double least_score,
                       const SoftNmsOptions& options, int64_t most) {
  auto candidates = candidates_of(boxes, scores, least_score);
  std::vector<torch::Tensor> kept{torch::empty({0}, candidates.labels.options())};
  // The last column of scores is background.
  for (int64_t label = 0; label + 1 < scores.size(1); ++label) {
    const auto numbers = candidates.labels.eq(label).nonzero().view({-1});
    if (numbers.numel() == 0) continue;
    const auto softened = soft_nms(candidates.boxes.index_select(0, numbers),
                                   candidates.scores.index_select(0, numbers), options);
    kept.push_back(numbers.index_select(0, softened.kept));
    // Lowered scores decide the order over all classes.
    candidates.scores.index_copy_(0, kept.back(), softened.scores.to(candidates.scores.dtype()));
  }
  const auto all = chosen(candidates, torch::cat(kept));
  const auto order = std::get<1>(all.scores.sort(/*stable=*/true, 0, /*descending=*/true));
  return chosen(all, order.slice(0, 0, most));
}

}  // namespace ibot::boxes
