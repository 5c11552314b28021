#include "ibot/nn/lean_linear.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>

#include "ibot/nn/autocast_scope.h"
#include "ibot/nn/layer_norm.h"
#include "support/expect_tensor.h"

namespace ibot::nn {
namespace {

using torch::nn::LayerNorm;
using torch::nn::Linear;

/// An output and the gradients of a weighted sum of it.
struct LinearPass {
  torch::Tensor output;
  std::vector<torch::Tensor> gradients;
};

LinearPass pass(const std::function<torch::Tensor()>& forward,
                const std::vector<torch::Tensor>& inputs,
                std::optional<torch::ScalarType> precision) {
  const AutocastScope autocast(torch::kCPU, precision);
  const auto output = forward();
  const auto weight = torch::arange(output.numel()).view_as(output).to(torch::kFloat).cos();
  return {output, torch::autograd::grad({(output.to(torch::kFloat) * weight).sum()}, inputs)};
}

/// Not Linear::forward, which adds the bias to a rounded product.
torch::Tensor plain_linear(Linear& linear, const torch::Tensor& input) {
  return torch::linear(input, linear->weight, linear->bias);
}

void expect_alike(const LinearPass& lean, const LinearPass& plain, double tolerance) {
  EXPECT_EQ(lean.output.scalar_type(), plain.output.scalar_type());
  EXPECT_TRUE(torch::equal(lean.output, plain.output));
  ASSERT_EQ(lean.gradients.size(), plain.gradients.size());
  for (size_t i = 0; i < lean.gradients.size(); ++i) {
    const auto scale = plain.gradients[i].abs().max().item<double>();
    EXPECT_TRUE(torch::allclose(lean.gradients[i], plain.gradients[i], 0.0, tolerance * scale))
        << i << ": " << (lean.gradients[i] - plain.gradients[i]).abs().max() << " of " << scale;
  }
}

// bf16 has 8 bits: what is kept and what is recomputed of it are each rounded once.
constexpr double kFloatRounding = 2e-6, kHalfRounding = 2.0 / 256;

struct LeanLinear : ::testing::TestWithParam<bool> {
  LeanLinear() { torch::manual_seed(0); }
  std::optional<torch::ScalarType> precision() const {
    return GetParam() ? std::optional(torch::kBFloat16) : std::nullopt;
  }
  double tolerance() const { return GetParam() ? kHalfRounding : kFloatRounding; }
};

TEST_P(LeanLinear, NormLinearIsTheModulesInTurn) {
  for (const bool bias : {true, false}) {
    auto norm = layer_norm(24);
    norm->weight.data().uniform_(0.5, 1.5);
    norm->bias.data().uniform_(-0.5, 0.5);
    Linear linear(torch::nn::LinearOptions(24, 40).bias(bias));
    const auto tokens = (torch::randn({3, 7, 24}) * 3 + 1).set_requires_grad(true);
    std::vector<torch::Tensor> inputs{tokens, norm->weight, norm->bias, linear->weight};
    if (bias) inputs.push_back(linear->bias);
    const auto lean = pass([&] { return norm_linear(norm, linear, tokens); }, inputs, precision());
    const auto plain =
        pass([&] { return plain_linear(linear, norm->forward(tokens)); }, inputs, precision());
    expect_alike(lean, plain, tolerance());
  }
}

TEST_P(LeanLinear, GeluLinearIsTheFunctionsInTurn) {
  Linear linear(24, 40);
  const auto hidden = torch::randn({3, 7, 24}).set_requires_grad(true);
  const std::vector<torch::Tensor> inputs{hidden, linear->weight, linear->bias};
  const auto lean = pass([&] { return gelu_linear(linear, hidden); }, inputs, precision());
  const auto plain = pass(
      [&] {
        return plain_linear(linear, torch::gelu(GetParam() ? hidden.to(torch::kBFloat16) : hidden));
      },
      inputs, precision());
  expect_alike(lean, plain, tolerance());
}

// A layer that runs twice in a step, as for global and local crops, has the sum of both gradients,
// whether its weights were cast before or not.
TEST_P(LeanLinear, GradientsOfSeveralCallsAddUp) {
  auto norm = layer_norm(8);
  Linear linear(8, 8);
  const auto first = torch::randn({5, 8}), second = torch::randn({3, 8});
  const std::vector<torch::Tensor> inputs{linear->weight, norm->weight};
  const auto both = [&](auto&& call) {
    return pass([&] { return torch::cat({call(first), call(second)}); }, inputs, precision());
  };
  expect_alike(both([&](const auto& x) { return norm_linear(norm, linear, x); }),
               both([&](const auto& x) { return plain_linear(linear, norm->forward(x)); }),
               tolerance());
}

TEST(LeanLinearInDouble, GradientsAreThoseOfFiniteDifferences) {
  torch::manual_seed(1);
  auto norm = layer_norm(6);
  Linear linear(6, 5), last(5, 4);
  for (auto* module :
       std::initializer_list<torch::nn::Module*>{norm.get(), linear.get(), last.get()}) {
    module->to(torch::kDouble);
  }
  auto tokens = torch::randn({4, 6}, torch::kDouble);
  const auto value = [&](const torch::Tensor& x) {
    return gelu_linear(last, norm_linear(norm, linear, x)).square().sum();
  };
  auto leaf = tokens.clone().set_requires_grad(true);
  value(leaf).backward();
  for (int64_t i = 0; i < tokens.numel(); ++i) {
    constexpr double kStep = 1e-6;
    auto moved = tokens.clone();
    moved.view(-1)[i] += kStep;
    const double above = value(moved).item<double>();
    moved.view(-1)[i] -= 2 * kStep;
    const double below = value(moved).item<double>();
    EXPECT_NEAR(leaf.grad().view(-1)[i].item<double>(), (above - below) / (2 * kStep), 1e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(Precision, LeanLinear, ::testing::Bool(),
                         [](const auto& precision) { return precision.param ? "bf16" : "fp32"; });

}  // namespace
}  // namespace ibot::nn
