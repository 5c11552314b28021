#include "ibot/eval/propagation.h"

#include <gtest/gtest.h>
#include <torch/nn/functional/normalization.h>
#include <torch/utils.h>

#include "eval/window_labels.h"
#include "support/expect_tensor.h"

namespace ibot::eval {
namespace {

// Blocks of targets and their windows against one product of all pairs.
TEST(Propagation, IsThatOfAllPairs) {
  torch::manual_seed(3);
  for (const int64_t radius : {0, 2, 40}) {
    SCOPED_TRACE(radius);
    const int64_t rows = 7;
    const int64_t columns = 29;
    PropagationOptions options;
    options.radius = radius;
    options.last_frames = 2;
    const auto features = torch::randn({5, rows, columns, 6});
    const auto labels = torch::randint(3, {rows, columns}, torch::kLong);
    Propagation propagation(options, features[0], labels);
    const auto places = torch::cartesian_prod({torch::arange(rows), torch::arange(columns)});
    const auto apart = (places.unsqueeze(1) - places.unsqueeze(0)).abs().amax(2);
    const auto near = (apart <= (radius == 0 ? 100 : radius)).to(torch::kFloat);
    const auto unit = torch::nn::functional::normalize(
        features.flatten(1, 2), torch::nn::functional::NormalizeFuncOptions().dim(2));
    std::vector<torch::Tensor> known{torch::one_hot(labels, 3).to(torch::kFloat).flatten(0, 1)};
    for (int64_t frame = 1; frame < 5; ++frame) {
      std::vector<int64_t> context{0};
      for (int64_t i = std::max<int64_t>(frame - 2, 1); i < frame; ++i) context.push_back(i);
      std::vector<torch::Tensor> affinities;
      std::vector<torch::Tensor> sources;
      for (const int64_t i : context) {
        affinities.push_back((unit[frame].mm(unit[i].t()) / 0.1).exp() * near);
        sources.push_back(known[i]);
      }
      auto affinity = torch::cat(affinities, 1);
      const auto least = std::get<0>(affinity.topk(5, 1)).amin(1, true);
      affinity = torch::where(affinity >= least, affinity, torch::zeros_like(affinity));
      known.push_back((affinity / affinity.sum(1, true)).mm(torch::cat(sources)));
      const auto soft = propagation.next(features[frame]);
      EXPECT_TENSOR_NEAR(soft.flatten(1).t(), known.back());
      const auto at_places = [&](const torch::Tensor& patches) {
        std::vector<int64_t> shape{rows, columns};
        for (int64_t i = 1; i < patches.dim(); ++i) shape.push_back(patches.size(i));
        return patches.reshape(shape);
      };
      const KnownFrames frames{
          at_places(unit.index_select(0, torch::tensor(context)).transpose(0, 1)),
          at_places(torch::stack(sources, 1))};
      EXPECT_TENSOR_NEAR(
          window_labels_by_blocks(at_places(unit[frame]), frames, options).flatten(0, 1),
          known.back());
    }
  }
}

}  // namespace
}  // namespace ibot::eval
