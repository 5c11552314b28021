#include "ibot/nn/block.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <functional>

#include "ibot/base/error.h"
#include "ibot/nn/autocast_scope.h"
#include "ibot/nn/drop_path.h"
#include "ibot/nn/patch_embed.h"
#include "ibot/nn/swin_block.h"
#include "support/expect_tensor.h"

// Blocks against the operations of the paper in turn, differentiated by the framework.
namespace ibot::nn {
namespace {

using Parameters = torch::OrderedDict<std::string, torch::Tensor>;

constexpr int64_t kWidth = 16, kHeads = 2;
constexpr double kDropPath = 0.4;

torch::Tensor plain_linear(const Parameters& p, const std::string& name, const torch::Tensor& x) {
  const auto* bias = p.find(name + ".bias");
  return torch::linear(x, p[name + ".weight"], bias ? *bias : torch::Tensor());
}

torch::Tensor plain_norm(const Parameters& p, const std::string& name, const torch::Tensor& x) {
  return torch::layer_norm(x, {x.size(-1)}, p[name + ".weight"], p[name + ".bias"], kLayerNormEps);
}

torch::Tensor plain_mlp(const Parameters& p, const torch::Tensor& x) {
  return plain_linear(p, "mlp.fc2",
                      torch::gelu(plain_linear(p, "mlp.fc1", plain_norm(p, "norm2", x))));
}

/// A branch as layer scale and stochastic depth leave it.
torch::Tensor plain_scaled(const Parameters& p, const char* gamma, const torch::Tensor& branch,
                           const torch::Tensor& sample) {
  const auto* scale = p.find(gamma);
  const auto scaled = scale ? *scale * branch : branch;
  return sample.defined() ? scaled * sample.to(scaled.dtype()) : scaled;
}

/// Scores, softmax and sum over the values of [B, T, 3·D]; `bias` is added to the scores. Without
/// one the framework's fused function: in bf16 its backward pass rounds more than the operations.
torch::Tensor plain_attention(const torch::Tensor& projected, const torch::Tensor& bias) {
  const auto parts = projected.unflatten(2, {3, kHeads, -1}).permute({2, 0, 3, 1, 4}).unbind(0);
  if (!bias.defined()) {
    return torch::scaled_dot_product_attention(parts[0], parts[1], parts[2])
        .transpose(1, 2)
        .flatten(2);
  }
  const double scale = 1.0 / std::sqrt(static_cast<double>(parts[0].size(-1)));
  auto scores = (parts[0] * scale).matmul(parts[1].transpose(-2, -1));
  scores = scores + bias;
  const auto weights = scores.softmax(-1).to(parts[2].dtype());
  return weights.matmul(parts[2]).transpose(1, 2).flatten(2);
}

/// What the context's generator gives both branches.
std::pair<torch::Tensor, torch::Tensor> draws(int64_t samples, const BlockContext& context) {
  const auto attention = drop_path_scale(samples, kDropPath, context, torch::kCPU);
  return {attention, drop_path_scale(samples, kDropPath, context, torch::kCPU)};
}

torch::Tensor plain_block(const Parameters& p, const torch::Tensor& tokens,
                          const BlockContext& context) {
  const auto [first, second] = draws(tokens.size(0), context);
  const auto attended =
      plain_attention(plain_linear(p, "attn.qkv", plain_norm(p, "norm1", tokens)), {});
  const auto x = tokens + plain_scaled(p, "gamma_1", plain_linear(p, "attn.proj", attended), first);
  return x + plain_scaled(p, "gamma_2", plain_mlp(p, x), second);
}

/// By rolling, padding and cutting maps, as the reference's Swin block does.
torch::Tensor plain_swin_block(const Parameters& p, const torch::Tensor& tokens,
                               const WindowOptions& options, const BlockContext& context) {
  const auto [first, second] = draws(tokens.size(0), context);
  const auto side = map_side(tokens.size(1)), w = options.size;
  const auto padded = (side + w - 1) / w * w, n = padded / w;
  auto map = plain_norm(p, "norm1", tokens).unflatten(1, {side, side});
  map = torch::constant_pad_nd(map, {0, 0, 0, padded - side, 0, padded - side});
  map = map.roll({-options.shift, -options.shift}, {1, 2});
  const auto windows = map.unflatten(2, {n, w}).unflatten(1, {n, w}).permute({0, 1, 3, 2, 4, 5});
  const auto projected = plain_linear(p, "attn.qkv", windows.reshape({-1, w * w, kWidth}));
  const auto plan = plan_windows(side, options, torch::kCPU);
  auto bias = p["attn.relative_position_bias_table"]
                  .index_select(0, relative_position_index(w).flatten())
                  .view({w * w, w * w, kHeads})
                  .permute({2, 0, 1})
                  .unsqueeze(0);
  if (plan.mask.defined()) bias = (bias + plan.mask).repeat({tokens.size(0), 1, 1, 1});
  const auto attended = plain_linear(p, "attn.proj", plain_attention(projected, bias));
  auto back = attended.reshape({-1, n, n, w, w, kWidth}).permute({0, 1, 3, 2, 4, 5});
  back = back.reshape({-1, padded, padded, kWidth}).roll({options.shift, options.shift}, {1, 2});
  back = back.narrow(1, 0, side).narrow(2, 0, side).flatten(1, 2);
  const auto x = tokens + plain_scaled(p, "gamma_1", back, first);
  return x + plain_scaled(p, "gamma_2", plain_mlp(p, x), second);
}

/// An output and the gradients of a weighted sum of it.
struct Pass {
  torch::Tensor output;
  std::vector<torch::Tensor> gradients;
};

using Forward = std::function<torch::Tensor(const BlockContext&)>;

struct BlockAlike : ::testing::TestWithParam<bool> {
  BlockAlike() { torch::manual_seed(0); }

  bool half() const { return GetParam(); }
  Pass pass(const Forward& forward, const std::vector<torch::Tensor>& inputs, bool half_precision,
            bool recompute = false) {
    const AutocastScope autocast(torch::kCPU,
                                 half_precision ? std::optional(torch::kBFloat16) : std::nullopt);
    const auto output = forward({.generator = at::detail::createCPUGenerator(5),
                                 .slice = {.whole = 1, .images = 1},
                                 .recompute = recompute});
    const auto weight = torch::arange(output.numel()).view_as(output).to(torch::kFloat).cos();
    return {output, torch::autograd::grad({(output.to(torch::kFloat) * weight).sum()}, inputs)};
  }

  /// float32: equal up to the order of sums. bf16: an error of the size that the operations in
  /// turn have too, which are rounded at other places.
  void expect_near(const torch::Tensor& lean, const torch::Tensor& plain,
                   const torch::Tensor& exact, const std::string& what) {
    const auto error = [&exact](const torch::Tensor& value) {
      return (value.to(torch::kFloat) - exact).norm().item<double>();
    };
    const double size = exact.norm().item<double>();
    EXPECT_LE(error(lean), half() ? 2 * error(plain) + 1e-3 * size : 5e-6 * size) << what;
  }

  /// Output and every gradient, with and without activation checkpointing.
  void expect_alike(torch::nn::Module& block, const torch::Tensor& tokens, const Forward& lean,
                    const Forward& plain) {
    std::vector<torch::Tensor> inputs{tokens};
    std::vector<std::string> names{"tokens"};
    for (const auto& parameter : block.named_parameters()) {
      inputs.push_back(parameter.value());
      names.push_back(parameter.key());
    }
    const auto exact = pass(plain, inputs, false);
    const auto expected = half() ? pass(plain, inputs, true) : exact;
    for (const bool recompute : {false, true}) {
      const auto actual = pass(lean, inputs, half(), recompute);
      EXPECT_EQ(actual.output.scalar_type(), expected.output.scalar_type());
      expect_near(actual.output, expected.output, exact.output, "output");
      for (size_t i = 0; i < inputs.size(); ++i) {
        EXPECT_EQ(actual.gradients[i].scalar_type(), inputs[i].scalar_type());
        expect_near(actual.gradients[i], expected.gradients[i], exact.gradients[i], names[i]);
      }
    }
  }
};

/// Parameters as after some training: biases, norms and scales that do something.
void spread_values(torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  for (auto& parameter : module.named_parameters()) {
    if (parameter.value().dim() == 1) parameter.value().uniform_(0.3, 1.2);
    if (parameter.key().find("bias_table") != std::string::npos) parameter.value().normal_();
  }
}

TEST_P(BlockAlike, VitBlockIsItsOperationsInTurn) {
  for (const double layer_scale : {0.0, 0.1}) {
    for (const bool qkv_bias : {true, false}) {
      Block block(BlockOptions{.embed_dim = kWidth,
                               .heads = kHeads,
                               .qkv_bias = qkv_bias,
                               .drop_path = kDropPath,
                               .layer_scale = layer_scale});
      spread_values(*block);
      // More rows than pass the MLP at a time.
      const auto tokens = torch::randn({120, 19, kWidth}).set_requires_grad(true);
      expect_alike(
          *block, tokens, [&](const auto& context) { return block->forward(tokens, context); },
          [&](const auto& context) {
            return plain_block(block->named_parameters(), tokens, context);
          });
    }
  }
}

TEST_P(BlockAlike, RowsOfAVitBlockAreThoseOfTheWhole) {
  Block block(BlockOptions{
      .embed_dim = kWidth, .heads = kHeads, .drop_path = kDropPath, .layer_scale = 0.1});
  spread_values(*block);
  const auto tokens = torch::randn({5, 7, kWidth}).set_requires_grad(true);
  const auto rows = torch::tensor({0, 7, 9, 13, 30, 34});
  expect_alike(
      *block, tokens,
      [&](const auto& context) { return block->forward_rows(tokens, rows, context); },
      [&](const auto& context) {
        return plain_block(block->named_parameters(), tokens, context)
            .flatten(0, 1)
            .index_select(0, rows);
      });
}

// Maps of 6 x 6 in windows of 3, shifted or not, and of 7 x 7, which are padded.
TEST_P(BlockAlike, SwinBlockIsItsOperationsInTurn) {
  for (const int64_t side : {6, 7}) {
    for (const int64_t shift : {0, 1}) {
      const WindowOptions windows{.size = 3, .shift = shift};
      SwinBlock block(SwinBlockOptions{
          .embed_dim = kWidth, .heads = kHeads, .windows = windows, .drop_path = kDropPath});
      spread_values(*block);
      const auto tokens = torch::randn({40, side * side, kWidth}).set_requires_grad(true);
      expect_alike(
          *block, tokens, [&](const auto& context) { return block->forward(tokens, context); },
          [&](const auto& context) {
            return plain_swin_block(block->named_parameters(), tokens, windows, context);
          });
    }
  }
}

TEST_P(BlockAlike, PatchEmbeddingIsAConvolution) {
  for (const bool norm : {false, true}) {
    PatchEmbed embed(4, kWidth, norm);
    spread_values(*embed);
    const auto images = torch::randn({3, 3, 14, 9}).set_requires_grad(true);
    const auto p = embed->named_parameters();
    expect_alike(
        *embed, images, [&](const auto&) { return embed->forward(images); },
        [&](const auto&) {
          const auto tokens =
              torch::conv2d(images, p["proj.weight"], p["proj.bias"], 4).flatten(2).transpose(1, 2);
          return norm ? plain_norm(p, "norm", tokens) : tokens;
        });
  }
}

TEST(Block, EvaluationKeepsNoGraphAndDropsNothing) {
  torch::manual_seed(0);
  Block block(BlockOptions{.embed_dim = kWidth, .heads = kHeads, .drop_path = kDropPath});
  block->eval();
  const auto tokens = torch::randn({120, 19, kWidth});
  const auto with_graph = block->forward(tokens, {});
  const torch::NoGradGuard no_grad;
  const auto without = block->forward(tokens, {});
  EXPECT_FALSE(without.requires_grad());
  EXPECT_TENSOR_NEAR(without, with_graph);
}

TEST(Block, RefusesGradientsOfGradients) {
  Block block(BlockOptions{.embed_dim = kWidth, .heads = kHeads});
  const auto tokens = torch::randn({2, 3, kWidth}).set_requires_grad(true);
  const auto loss = block->forward(tokens, {}).square().sum();
  EXPECT_THROW(torch::autograd::grad({loss}, {tokens}, {}, true, /*create_graph=*/true), Error);
}

INSTANTIATE_TEST_SUITE_P(Precision, BlockAlike, ::testing::Bool(),
                         [](const auto& precision) { return precision.param ? "bf16" : "fp32"; });

}  // namespace
}  // namespace ibot::nn
