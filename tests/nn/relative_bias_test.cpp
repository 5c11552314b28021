#include "ibot/nn/relative_bias.h"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "ibot/base/error.h"
#include "ibot/nn/attention.h"
#include "support/expect_tensor.h"

namespace ibot::nn {
namespace {

// relative_position_index of the reference's Attention(window_size=(2, 2)).
TEST(RelativeBias, IndexIsThatOfTheReference) {
  EXPECT_TENSOR_EQUAL(class_position_index(2), torch::tensor({{11, 9, 9, 9, 9},
                                                              {10, 4, 3, 1, 0},
                                                              {10, 5, 4, 2, 1},
                                                              {10, 7, 6, 4, 3},
                                                              {10, 8, 7, 5, 4}}));
}

TEST(RelativeBias, ATableResizedKeepsItsOtherRows) {
  const auto table = torch::rand({9 + kClassOffsets, 2}, at::detail::createCPUGenerator(1));
  EXPECT_TENSOR_EQUAL(resize_bias_table(table, 3, kClassOffsets), table);
  const auto larger = resize_bias_table(table, 5, kClassOffsets);
  EXPECT_EQ(larger.sizes(), (std::vector<int64_t>{25 + kClassOffsets, 2}));
  EXPECT_TENSOR_EQUAL(larger.slice(0, 25), table.slice(0, 9));
  const auto flat = resize_bias_table(torch::ones({9, 1}), 7, 0);
  EXPECT_TENSOR_NEAR(flat, torch::ones({49, 1}));
}

// The bias written out, and its gradient: each row gets what the pairs that share it do.
TEST(RelativeBias, IsAddedToTheScores) {
  Attention attention(AttentionOptions{.embed_dim = 6, .heads = 2, .bias_side = 2});
  torch::nn::LayerNorm norm(torch::nn::LayerNormOptions({6}));
  auto table = attention->named_parameters()["relative_position_bias_table"];
  {
    const torch::NoGradGuard no_grad;
    table.copy_(torch::rand(table.sizes(), at::detail::createCPUGenerator(2)));
  }
  const auto tokens = torch::rand({3, 5, 6}, at::detail::createCPUGenerator(3));
  const auto& linear = attention->named_parameters();
  const auto qkv = torch::linear(norm->forward(tokens), linear["qkv.weight"], linear["qkv.bias"])
                       .view({3, 5, 3, 2, 3})
                       .permute({2, 0, 3, 1, 4});
  const auto bias = table.index({class_position_index(2)}).permute({2, 0, 1});
  const auto scores = qkv[0].matmul(qkv[1].transpose(-2, -1)) / std::sqrt(3.0) + bias;
  const auto expected =
      torch::linear(scores.softmax(-1).matmul(qkv[2]).transpose(1, 2).reshape({3, 5, 6}),
                    linear["proj.weight"], linear["proj.bias"]);
  const auto stream = torch::zeros_like(tokens);
  const auto forward = [&] {
    return attention->add_to(stream, attention->attend(norm, tokens), {});
  };
  EXPECT_TENSOR_NEAR(forward(), expected);
  EXPECT_TENSOR_NEAR(attention->weights(norm, tokens), scores.softmax(-1));
  const auto gradient = torch::autograd::grad({expected.sin().sum()}, {table})[0];
  const auto own = torch::autograd::grad({forward().sin().sum()}, {table});
  EXPECT_TENSOR_NEAR(own[0], gradient);
  EXPECT_THROW(attention->attend(norm, torch::rand({1, 7, 6})), Error);
}

}  // namespace
}  // namespace ibot::nn
