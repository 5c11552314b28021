#include "ibot/nn/windows.h"

#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "ibot/nn/attention.h"
#include "ibot/nn/layer_norm.h"
#include "ibot/nn/window_attention.h"
#include "support/expect_tensor.h"

namespace ibot::nn {
namespace {

/// The same windows by the framework's pad and roll.
torch::Tensor rolled_windows(const torch::Tensor& tokens, int64_t side,
                             const WindowOptions& options) {
  const auto w = options.size;
  const auto pad = (w - side % w) % w;
  const auto map =
      torch::constant_pad_nd(tokens.view({tokens.size(0), side, side, -1}), {0, 0, 0, pad, 0, pad});
  const auto count = (side + pad) / w;
  return torch::roll(map, {-options.shift, -options.shift}, {1, 2})
      .view({tokens.size(0), count, w, count, w, -1})
      .permute({0, 1, 3, 2, 4, 5})
      .reshape({tokens.size(0), (side + pad) * (side + pad), -1});
}

// 3 x 3 tokens in 2 x 2 windows: padded to 4 x 4 with cells numbered 9, all moved up and left by 1.
TEST(Windows, PlanByHand) {
  const auto plan = plan_windows(3, {.size = 2, .shift = 1}, torch::kCPU);
  EXPECT_TENSOR_EQUAL(
      plan.to_windows,
      torch::tensor({4, 5, 7, 8, 9, 3, 9, 6, 9, 9, 1, 2, 9, 9, 9, 0}, torch::kLong));
  EXPECT_TENSOR_EQUAL(plan.to_map, torch::tensor({15, 10, 11, 5, 0, 1, 7, 2, 3}, torch::kLong));
}

// 4 x 4 tokens in 2 x 2 windows: only the last window of an axis holds tokens from both sides.
TEST(Windows, MaskByHand) {
  const auto plan = plan_windows(4, {.size = 2, .shift = 1}, torch::kCPU);
  ASSERT_EQ(plan.mask.sizes(), at::IntArrayRef({4, 1, 4, 4}));
  const auto apart = plan.mask.squeeze(1).eq(-100.0);
  EXPECT_TENSOR_EQUAL(plan.mask.squeeze(1).eq(0.0), apart.logical_not());
  const auto same = [](std::vector<int64_t> region) {
    const auto regions = torch::tensor(region);
    return regions.unsqueeze(0).ne(regions.unsqueeze(1));
  };
  EXPECT_TENSOR_EQUAL(apart[0], same({0, 0, 0, 0}));
  EXPECT_TENSOR_EQUAL(apart[1], same({0, 1, 0, 1}));
  EXPECT_TENSOR_EQUAL(apart[2], same({0, 0, 1, 1}));
  EXPECT_TENSOR_EQUAL(apart[3], same({0, 1, 2, 3}));
  EXPECT_FALSE(plan_windows(4, {.size = 2, .shift = 0}, torch::kCPU).mask.defined());
}

TEST(Windows, AreThoseOfPadAndRollAndComeBack) {
  for (const int64_t side : {1, 3, 5, 6, 8, 14}) {
    for (const auto& options : {WindowOptions{3, 0}, WindowOptions{3, 1}, WindowOptions{7, 3}}) {
      const auto plan = plan_windows(side, options, torch::kCPU);
      const auto tokens = torch::rand({2, side * side, 5});
      const auto windows = to_windows(tokens, plan);
      EXPECT_TENSOR_EQUAL(windows, rolled_windows(tokens, side, options));
      EXPECT_TENSOR_EQUAL(to_map(windows, plan), tokens);
    }
  }
}

TEST(Windows, GradientsAreThoseOfTheFramework) {
  const WindowOptions options{.size = 3, .shift = 1};
  const auto plan = plan_windows(5, options, torch::kCPU);
  const auto tokens = torch::rand({2, 25, 4});
  const auto weight = torch::rand({2, 36, 4});
  const auto gradients = [&](const auto& cut) {
    const auto leaf = tokens.clone().set_requires_grad(true);
    const auto loss = (cut(leaf).sin() * weight).sum();
    const auto first =
        torch::autograd::grad({loss}, {leaf}, {}, std::nullopt, /*create_graph=*/true)[0];
    const auto second = torch::autograd::grad({(first * first).sum()}, {leaf})[0];
    return torch::stack({first.detach(), second});
  };
  EXPECT_TENSOR_NEAR(
      gradients([&](const torch::Tensor& x) { return to_windows(x, plan); }),
      gradients([&](const torch::Tensor& x) { return rolled_windows(x, 5, options); }));
}

TEST(Windows, APlanMadeWhileEvaluatingServesTraining) {
  WindowPlans plans({.size = 3, .shift = 1});
  {
    const c10::InferenceMode evaluating;
    plans.of(4, torch::kCPU);
  }
  const auto tokens = torch::rand({1, 16, 2}).set_requires_grad(true);
  to_windows(tokens, plans.of(4, torch::kCPU)).sum().backward();
  EXPECT_TENSOR_EQUAL(tokens.grad(), torch::ones({1, 16, 2}));
}

// Offsets of a window of 2 x 2: -1, 0, 1 of rows and columns as the digits 0, 1, 2 of base 3.
TEST(WindowAttention, IndexByHand) {
  EXPECT_TENSOR_EQUAL(
      relative_position_index(2),
      torch::tensor({4, 3, 1, 0, 5, 4, 2, 1, 7, 6, 4, 3, 8, 7, 5, 4}, torch::kLong).view({4, 4}));
}

// Without bias, one window over the whole map is plain attention.
TEST(WindowAttention, OneWindowIsPlainAttention) {
  Attention plain(AttentionOptions{.embed_dim = 12, .heads = 3});
  WindowAttention windowed(12, 3, 4, true);
  const torch::NoGradGuard no_grad;
  auto to = windowed->named_parameters();
  for (const auto& parameter : plain->named_parameters()) {
    to[parameter.key()].copy_(parameter.value());
  }
  const auto tokens = torch::rand({2, 16, 12});
  auto norm = layer_norm(12);
  const auto plan = plan_windows(4, {.size = 4}, torch::kCPU);
  EXPECT_TENSOR_NEAR(windowed->attend(norm, tokens, plan), plain->attend(norm, tokens));
  EXPECT_TENSOR_NEAR(windowed->weights(norm, tokens, plan), plain->weights(norm, tokens));
}

// A bias of head 0 that is large for one offset makes each token attend to that neighbor.
TEST(WindowAttention, TheBiasBelongsToOffsets) {
  WindowAttention attention(4, 2, 3, true);
  const torch::NoGradGuard no_grad;
  auto table = attention->named_parameters()["relative_position_bias_table"];
  table[1 * 5 + 2][0] = 50.0;  // the key one row below the query
  auto norm = layer_norm(4);
  const auto weights =
      attention->weights(norm, torch::rand({1, 9, 4}), plan_windows(3, {.size = 3}, torch::kCPU));
  for (int64_t query = 0; query < 6; ++query) {
    EXPECT_NEAR(weights[0][0][query][query + 3].item<float>(), 1.0f, 1e-5f) << query;
    EXPECT_LT(weights[0][1][query][query + 3].item<float>(), 0.9f) << query;
  }
}

}  // namespace
}  // namespace ibot::nn
