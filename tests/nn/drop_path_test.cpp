#include "ibot/nn/drop_path.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "support/expect_tensor.h"

namespace ibot::nn {
namespace {

TEST(DropPath, DropsWithItsRateAndKeepsTheMean) {
  const auto scale =
      drop_path_scale(20000, 0.25, {.generator = at::detail::createCPUGenerator(1)}, torch::kCPU);
  EXPECT_TRUE(((scale == 0).logical_or(scale == 1.0f / 0.75f)).all().item<bool>());
  EXPECT_NEAR(scale.mean().item<float>(), 1.0, 0.02);
  EXPECT_NEAR((scale > 0).to(torch::kFloat).mean().item<float>(), 0.75, 0.015);
}

// Two crops of six images: ranks and parts that share them out draw what one would.
TEST(DropPath, AnImageHasTheSameDrawsInAnyShare) {
  const auto draws = [](BatchSlice slice, int64_t samples) {
    return drop_path_scale(samples, 0.5,
                           {.generator = at::detail::createCPUGenerator(1), .slice = slice},
                           torch::kCPU);
  };
  const auto all = draws({}, 12).view({2, 6});
  for (int64_t rank = 0; rank < 2; ++rank) {
    const auto own = draws({.whole = 6, .images = 3, .first = rank, .stride = 2}, 6);
    EXPECT_TENSOR_EQUAL(own.view({2, 3}), all.slice(1, rank, 6, 2));
  }
  const auto part = draws({.whole = 6, .images = 1, .first = 4 + 1, .stride = 2}, 2);
  EXPECT_TENSOR_EQUAL(part.view({2}), all.select(1, 5));
  EXPECT_FALSE(drop_path_scale(4, 0.0, {}, torch::kCPU).defined());
}

}  // namespace
}  // namespace ibot::nn
