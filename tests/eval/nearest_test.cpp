#include "ibot/eval/nearest.h"

#include <gtest/gtest.h>
#include <torch/nn/functional/normalization.h>

#include "support/expect_tensor.h"

namespace ibot::eval {
namespace {

TEST(Nearest, AgreesWithASortOfAllSimilarities) {
  torch::manual_seed(1);
  // More rows than one block, more queries than one block.
  const auto rows = torch::randn({20000, 6});
  const auto queries = torch::randn({300, 6});
  const auto found = nearest_rows(queries, rows, 7);
  const auto similarity =
      torch::nn::functional::normalize(queries).mm(torch::nn::functional::normalize(rows).t());
  const auto [best, index] = similarity.sort(/*stable=*/true, /*dim=*/1, /*descending=*/true);
  EXPECT_TENSOR_NEAR(found.similarity, best.slice(1, 0, 7));
  // Neighbors nearer to each other than rounding may change places.
  const auto same = found.index.eq(index.slice(1, 0, 7)).to(torch::kFloat).mean().item<double>();
  EXPECT_GT(same, 0.999);
}

TEST(Nearest, OfEqualRowsTheEarlierGoesFirst) {
  const auto rows = torch::tensor({{1., 0.}, {0., 1.}, {2., 0.}, {0., 1.}, {3., 0.}});
  const auto found = nearest_rows(torch::tensor({{1., 0.}, {0., 5.}}), rows, 4);
  EXPECT_TENSOR_EQUAL(found.index, torch::tensor({{0, 2, 4, 1}, {1, 3, 0, 2}}));
  EXPECT_TENSOR_NEAR(found.similarity, torch::tensor({{1., 1., 1., 0.}, {1., 1., 0., 0.}}));
}

TEST(Nearest, OrdersNegativeSimilarities) {
  const auto rows = torch::tensor({{-1., 0.}, {-1., 1.}, {-1., -2.}});
  const auto found = nearest_rows(torch::tensor({{1., 0.}}), rows, 3);
  EXPECT_TENSOR_EQUAL(found.index, torch::tensor({{2, 1, 0}}));
}

}  // namespace
}  // namespace ibot::eval
