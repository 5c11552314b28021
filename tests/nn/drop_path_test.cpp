#include "ibot/nn/drop_path.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "support/expect_tensor.h"

namespace ibot::nn {
namespace {

TEST(DropPath, DropsWholeSamplesAndKeepsTheMean) {
  const auto branch = torch::ones({20000, 2, 3});
  const auto kept = drop_path(branch, 0.25, at::detail::createCPUGenerator(1));
  const auto first = kept.select(1, 0).select(1, 0);
  EXPECT_TENSOR_EQUAL(kept, first.view({-1, 1, 1}).expand_as(kept).contiguous());
  EXPECT_TRUE(((first == 0).logical_or(first == 1.0f / 0.75f)).all().item<bool>());
  EXPECT_NEAR(first.mean().item<float>(), 1.0, 0.02);
  EXPECT_NEAR((first > 0).to(torch::kFloat).mean().item<float>(), 0.75, 0.015);
}

TEST(DropPath, ZeroRateIsTheBranchItself) {
  const auto branch = torch::ones({2, 2});
  EXPECT_TRUE(drop_path(branch, 0.0, std::nullopt).is_same(branch));
}

}  // namespace
}  // namespace ibot::nn
