#include "ibot/boxes/assignment.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "ibot/boxes/overlap.h"

namespace ibot::boxes {
namespace {

/// `count` of the numbers, ascending; all where there are no more.
torch::Tensor drawn(const torch::Tensor& numbers, int64_t count, Rng& rng) {
  if (numbers.numel() <= count) return numbers;
  std::vector<int64_t> chosen(numbers.const_data_ptr<int64_t>(),
                              numbers.const_data_ptr<int64_t>() + numbers.numel());
  // The first `count` steps of a Fisher-Yates shuffle.
  for (int64_t i = 0; i < count; ++i) {
    std::swap(chosen[i], chosen[i + static_cast<int64_t>(rng.index(chosen.size() - i))]);
  }
  chosen.resize(count);
  std::sort(chosen.begin(), chosen.end());
  return torch::tensor(chosen, torch::kLong);
}

/// On the host, where samples are drawn.
torch::Tensor numbers_where(const torch::Tensor& flags) {
  return flags.cpu().nonzero().view({-1}).contiguous();
}

}  // namespace

Assignment assign(const torch::Tensor& candidates, const torch::Tensor& truths,
                  const AssignmentOptions& options) {
  const int64_t count = candidates.size(0);
  const auto counts = candidates.options().dtype(torch::kLong);
  if (truths.size(0) == 0 || count == 0) {
    return {torch::zeros({count}, counts), torch::zeros({count}, candidates.options())};
  }
  const auto overlaps = iou(candidates, truths);  // [N, M]
  const auto [best, best_truth] = overlaps.max(1);
  // What is neither below `negative` nor reaches `positive` stays -1 and is not trained.
  auto truth = torch::full({count}, -1, counts);
  truth.masked_fill_(best < options.negative, 0);
  truth = torch::where(best >= options.positive, best_truth + 1, truth);
  if (options.low_quality) {
    const auto highest = std::get<0>(overlaps.max(0));  // [M]
    const auto reached =
        overlaps.eq(highest).logical_and(highest >= *options.low_quality);  // [N, M]
    // In the order of the objects, so that a later one takes a candidate from an earlier one.
    // Equality of floats is meant: all candidates that share the best overlap.
    for (int64_t k = 0; k < truths.size(0); ++k) truth.masked_fill_(reached.select(1, k), k + 1);
  }
  return {truth, best};
}

Assignment with_truths(const Assignment& assignment, int64_t count) {
  return {torch::cat({torch::arange(1, count + 1, assignment.truth.options()), assignment.truth}),
          torch::cat({torch::ones({count}, assignment.overlap.options()), assignment.overlap})};
}

torch::Tensor labels_of(const Assignment& assignment, const torch::Tensor& truth_labels) {
  if (truth_labels.numel() == 0) return torch::full_like(assignment.truth, -1);
  // Background reads any label here, which the next line replaces.
  const auto labels = truth_labels.index_select(0, (assignment.truth - 1).clamp_min(0));
  return torch::where(assignment.truth > 0, labels, -1);
}

Sample sample(const torch::Tensor& truth, const SamplingOptions& options, Rng& rng) {
  const auto most_positive =
      static_cast<int64_t>(static_cast<double>(options.count) * options.positive_share);
  Sample sample;
  sample.positive = drawn(numbers_where(truth > 0), most_positive, rng);
  // Background fills what positives leave of `count`.
  sample.negative = drawn(numbers_where(truth == 0), options.count - sample.positive.numel(), rng);
  return sample;
}

}  // namespace ibot::boxes
