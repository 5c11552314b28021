#include "ibot/nn/dropout.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>
#include <torch/nn/functional/normalization.h>

#include "ibot/models/backbone.h"
#include "ibot/models/network.h"
#include "ibot/nn/block.h"
#include "support/expect_tensor.h"

namespace ibot::nn {
namespace {

BlockContext seeded(double dropout, double attention_dropout = 0.0) {
  return {.generator = at::detail::createCPUGenerator(1),
          .dropout = dropout,
          .attention_dropout = attention_dropout};
}

TEST(Dropout, DropsWithItsRateAndKeepsTheMean) {
  const auto mask = draw_dropout({200, 100}, 0.25, seeded(0.0), torch::kCPU);
  const auto values = mask.of(torch::ones({200, 100}));
  EXPECT_TRUE((values == 0).logical_or(values == 1.0f / 0.75f).all().item<bool>());
  EXPECT_NEAR(values.mean().item<float>(), 1.0, 0.02);
  EXPECT_FALSE(draw_dropout({4}, 0.0, seeded(0.0), torch::kCPU).kept.defined());
  const auto same = torch::rand({3});
  EXPECT_TENSOR_EQUAL(DropoutMask().of(same), same);
}

/// The reference's Block written out, with the draws given.
torch::Tensor reference_block(const Block& block, const torch::Tensor& tokens, int64_t heads,
                              const BlockDropout& dropout) {
  const auto parameters = block->named_parameters();
  const auto linear = [&](const torch::Tensor& x, const std::string& name) {
    return torch::linear(x, parameters[name + ".weight"], parameters[name + ".bias"]);
  };
  const auto norm = [&](const torch::Tensor& x, const std::string& name) {
    return torch::layer_norm(x, {x.size(-1)}, parameters[name + ".weight"],
                             parameters[name + ".bias"], kLayerNormEps);
  };
  const auto width = tokens.size(2) / heads;
  const auto qkv = linear(norm(tokens, "norm1"), "attn.qkv")
                       .reshape({tokens.size(0), tokens.size(1), 3, heads, width})
                       .permute({2, 0, 3, 1, 4});
  const auto scores = qkv[0].matmul(qkv[1].transpose(-2, -1)) / std::sqrt(width);
  const auto attended =
      dropout.weights.of(scores.softmax(-1)).matmul(qkv[2]).transpose(1, 2).reshape(tokens.sizes());
  const auto x = tokens + dropout.attended.of(linear(attended, "attn.proj"));
  const auto hidden = dropout.hidden.of(torch::gelu(linear(norm(x, "norm2"), "mlp.fc1")));
  return x + dropout.output.of(linear(hidden, "mlp.fc2"));
}

TEST(Dropout, OfABlockStandsWhereTheReferenceHasIt) {
  Block block(BlockOptions{.embed_dim = 12, .heads = 3, .mlp_ratio = 2.0});
  const auto tokens = torch::rand({2, 5, 12}, at::detail::createCPUGenerator(2));
  const auto draws =
      draw_block({.samples = 2, .weights = {2, 3, 5, 5}, .tokens = {2, 5, 12}, .hidden_dim = 24},
                 0.0, seeded(0.3, 0.4), torch::kCPU);
  for (const auto* mask : {&draws.dropout.weights, &draws.dropout.attended, &draws.dropout.hidden,
                           &draws.dropout.output}) {
    ASSERT_TRUE(mask->kept.defined());
    EXPECT_LT(mask->kept.sum().item<int64_t>(), mask->kept.numel());
  }
  EXPECT_TENSOR_NEAR(block->forward(tokens, seeded(0.3, 0.4)),
                     reference_block(block, tokens, 3, draws.dropout));
  block->eval();
  EXPECT_TENSOR_NEAR(block->forward(tokens, seeded(0.3, 0.4)),
                     reference_block(block, tokens, 3, {}));
}

models::BackboneOptions tiny(const std::string& arch) {
  models::BackboneOptions options{.arch = arch,
                                  .patch_size = 4,
                                  .window_size = 2,
                                  .image_size = 16,
                                  .drop_path = 0.0,
                                  .embed_dim = 32};
  options.depth = arch == "swin_tiny" ? std::vector<int64_t>{2, 1} : std::vector<int64_t>{2};
  options.heads = arch == "swin_tiny" ? std::vector<int64_t>{2, 2} : std::vector<int64_t>{2};
  return options;
}

// Recomputed activations drop what the first run dropped, with equal gradients.
TEST(Dropout, OfANetworkIsTheSameWhenRecomputed) {
  for (const auto& arch : {"vit_tiny", "swin_tiny"}) {
    SCOPED_TRACE(arch);
    const auto network = models::build_backbone(tiny(arch), models::Role::kStudent);
    models::initialize_(*network, at::detail::createCPUGenerator(3));
    const auto images = torch::rand({3, 3, 16, 16}, at::detail::createCPUGenerator(4));
    const auto run = [&](bool recompute, double rate) {
      auto context = seeded(rate, rate);
      context.recompute = recompute;
      network->set_context(context);
      network->zero_grad();
      const auto token = network->forward_selected(images, {}, {}).class_token;
      token.sin().sum().backward();
      std::vector<torch::Tensor> results{token.detach()};
      for (const auto& parameter : network->parameters()) {
        if (parameter.grad().defined()) results.push_back(parameter.grad().clone());
      }
      return results;
    };
    const auto kept = run(false, 0.2);
    const auto again = run(true, 0.2);
    ASSERT_EQ(kept.size(), again.size());
    for (size_t i = 0; i < kept.size(); ++i) EXPECT_TENSOR_NEAR(again[i], kept[i]);
    EXPECT_FALSE(torch::equal(run(false, 0.0)[0], kept[0]));
    network->eval();
    EXPECT_TENSOR_EQUAL(run(false, 0.2)[0], run(false, 0.0)[0]);
  }
}

}  // namespace
}  // namespace ibot::nn
