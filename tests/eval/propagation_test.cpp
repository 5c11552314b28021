#include "ibot/eval/propagation.h"

#include <gtest/gtest.h>
#include <torch/nn/functional/normalization.h>
#include <torch/utils.h>

#include "eval/window_labels.h"
#include "support/expect_tensor.h"

namespace ibot::eval {
namespace {

/// Follows labels through `frames`, [frames, rows, columns, D], and compares them with those by one
/// product of all pairs in float64.
void expect_labels_of_all_pairs(const PropagationOptions& options, const torch::Tensor& frames) {
  const auto rows = frames.size(1);
  const auto columns = frames.size(2);
  const auto labels = torch::randint(3, {rows, columns}, torch::kLong);
  Propagation propagation(options, frames[0], labels);
  const auto places = torch::cartesian_prod({torch::arange(rows), torch::arange(columns)});
  const auto apart = (places.unsqueeze(1) - places.unsqueeze(0)).abs().amax(2);
  const auto near = (apart <= (options.radius == 0 ? 100 : options.radius)).to(torch::kDouble);
  const auto unit = torch::nn::functional::normalize(
      frames.flatten(1, 2), torch::nn::functional::NormalizeFuncOptions().dim(2));
  std::vector<torch::Tensor> known{torch::one_hot(labels, 3).to(torch::kDouble).flatten(0, 1)};
  for (int64_t frame = 1; frame < frames.size(0); ++frame) {
    std::vector<int64_t> context{0};
    for (int64_t i = std::max<int64_t>(frame - options.last_frames, 1); i < frame; ++i) {
      context.push_back(i);
    }
    std::vector<torch::Tensor> affinities;
    std::vector<torch::Tensor> sources;
    for (const int64_t i : context) {
      const auto similarity = unit[frame].to(torch::kDouble).mm(unit[i].to(torch::kDouble).t());
      affinities.push_back((similarity / options.temperature).exp() * near);
      sources.push_back(known[i]);
    }
    auto affinity = torch::cat(affinities, 1);
    const auto least = std::get<0>(affinity.topk(options.topk, 1)).amin(1, true);
    affinity = torch::where(affinity >= least, affinity, torch::zeros_like(affinity));
    known.push_back((affinity / affinity.sum(1, true)).mm(torch::cat(sources)));
    const auto soft = propagation.next(frames[frame]);
    EXPECT_TENSOR_NEAR(soft.flatten(1).t(), known.back());
    const auto at_places = [&](const torch::Tensor& patches) {
      std::vector<int64_t> shape{rows, columns};
      for (int64_t i = 1; i < patches.dim(); ++i) shape.push_back(patches.size(i));
      return patches.reshape(shape);
    };
    const KnownFrames of_context{
        at_places(unit.index_select(0, torch::tensor(context)).transpose(0, 1)),
        at_places(torch::stack(sources, 1).to(torch::kFloat)),
        {}};
    const auto targets = at_places(unit[frame]);
    EXPECT_TENSOR_NEAR(window_labels(targets, of_context, options).flatten(0, 1), known.back());
    EXPECT_TENSOR_NEAR(window_labels_by_blocks(targets, of_context, options).flatten(0, 1),
                       known.back());
  }
}

// Blocks of targets and their windows against one product of all pairs.
TEST(Propagation, IsThatOfAllPairs) {
  torch::manual_seed(3);
  for (const int64_t radius : {0, 2, 40}) {
    SCOPED_TRACE(radius);
    PropagationOptions options;
    options.radius = radius;
    options.last_frames = 2;
    expect_labels_of_all_pairs(options, torch::randn({5, 7, 29, 6}));
  }
}

// As patches of a sky: bfloat16 cannot tell which of them are the most similar.
TEST(Propagation, TellsSimilaritiesThatAreNearlyEqual) {
  torch::manual_seed(4);
  PropagationOptions options;
  options.last_frames = 3;
  options.radius = 4;
  const auto noise = 0.3 * torch::randn({4, 9, 11, 384});
  expect_labels_of_all_pairs(options, torch::randn({384}) + noise);
}

}  // namespace
}  // namespace ibot::eval
