#include "ibot/nn/drop_path.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

namespace ibot::nn {
namespace {

TEST(DropPath, DropsWithItsRateAndKeepsTheMean) {
  const auto scale = drop_path_scale(20000, 0.25, at::detail::createCPUGenerator(1), torch::kFloat);
  EXPECT_TRUE(((scale == 0).logical_or(scale == 1.0f / 0.75f)).all().item<bool>());
  EXPECT_NEAR(scale.mean().item<float>(), 1.0, 0.02);
  EXPECT_NEAR((scale > 0).to(torch::kFloat).mean().item<float>(), 0.75, 0.015);
}

}  // namespace
}  // namespace ibot::nn
