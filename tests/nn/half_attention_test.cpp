#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "ibot/base/error.h"
#include "ibot/nn/attention.h"
#include "support/expect_tensor.h"

// bf16 attention on a CPU against the same in float64.
namespace ibot::nn {
namespace {

struct Shape {
  int64_t images, heads, tokens, width;
};

torch::Tensor noise(const Shape& shape, uint64_t seed) {
  // As a projection lays heads out: [B, T, heads, d].
  return torch::randn({shape.images, shape.tokens, shape.heads, shape.width},
                      at::detail::createCPUGenerator(seed))
      .to(torch::kBFloat16)
      .transpose(1, 2);
}

torch::Tensor exact(const std::vector<torch::Tensor>& parts) {
  const double scale = 1.0 / std::sqrt(static_cast<double>(parts[0].size(-1)));
  return (parts[0].matmul(parts[1].transpose(-2, -1)) * scale).softmax(-1).matmul(parts[2]);
}

/// ‖actual − expected‖ / ‖expected‖. Of bf16's rounding, 0.2 % a value, some are added.
void expect_rounded(const torch::Tensor& actual, const torch::Tensor& expected) {
  const auto difference = (actual.to(torch::kDouble) - expected).norm().item<double>();
  EXPECT_LT(difference, 0.01 * expected.norm().item<double>() + 1e-12);
}

// The second spans several parts of the images, the last of them smaller; the last two several
// parts of an image's heads, and of a head's queries.
const Shape kShapes[] = {{2, 3, 37, 64}, {75, 6, 37, 64}, {3, 6, 197, 64}, {2, 2, 5, 7},
                         {2, 1, 1, 8},   {1, 5, 400, 16}, {2, 2, 800, 8}};

TEST(HalfAttention, IsExactButForRounding) {
  for (const auto& shape : kShapes) {
    std::vector<torch::Tensor> parts, wide;
    for (uint64_t i = 0; i < 3; ++i) {
      parts.push_back(noise(shape, i).requires_grad_());
      wide.push_back(parts.back().detach().to(torch::kDouble).requires_grad_());
    }
    const auto actual = attend(parts[0], parts[1], parts[2], {});
    const auto expected = exact(wide);
    EXPECT_EQ(actual.scalar_type(), torch::kBFloat16);
    EXPECT_TRUE(actual.transpose(1, 2).is_contiguous()) << "joining heads would copy";
    expect_rounded(actual.detach(), expected.detach());
    const auto above = noise(shape, 3);
    const auto gradients = torch::autograd::grad({actual}, parts, {above});
    const auto of_exact = torch::autograd::grad({expected}, wide, {above.to(torch::kDouble)});
    for (size_t i = 0; i < 3; ++i) {
      // One token: its weight is 1, and scores have no gradient.
      if (shape.tokens > 1 || i == 2) expect_rounded(gradients[i], of_exact[i]);
    }
    const torch::NoGradGuard no_grad;
    EXPECT_TENSOR_EQUAL(attend(parts[0], parts[1], parts[2], {}), actual.detach());
  }
}

// Images do not depend on those that they pass with.
TEST(HalfAttention, OfEveryImageIsItsOwn) {
  const Shape shape{75, 6, 37, 64};
  const auto query = noise(shape, 0), key = noise(shape, 1), value = noise(shape, 2);
  const auto all = attend(query, key, value, {});
  for (const int64_t image : {0, 40, 74}) {
    const auto alone =
        attend(query.narrow(0, image, 1), key.narrow(0, image, 1), value.narrow(0, image, 1), {});
    EXPECT_TENSOR_EQUAL(alone, all.narrow(0, image, 1));
  }
}

TEST(HalfAttention, RefusesGradientsOfGradients) {
  const auto query = noise({1, 1, 3, 8}, 0).requires_grad_();
  const auto sum = attend(query, query, query, {}).sum();
  EXPECT_THROW(torch::autograd::grad({sum}, {query}, {}, true, true), Error);
}

}  // namespace
}  // namespace ibot::nn
