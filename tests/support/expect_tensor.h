// Comparing tensors in tests.
#pragma once

#include <gtest/gtest.h>
#include <torch/types.h>

namespace ibot::testing {

/// |a - b| <= atol + rtol |b|, elementwise.
struct Tolerance {
  double rtol = 1e-4;
  double atol = 1e-5;
};

inline ::testing::AssertionResult near(const torch::Tensor& actual, const torch::Tensor& expected,
                                       Tolerance tolerance = {}) {
  if (!actual.defined()) return ::testing::AssertionFailure() << "undefined tensor";
  if (actual.sizes() != expected.sizes()) {
    return ::testing::AssertionFailure()
           << "expected shape " << expected.sizes() << ", got " << actual.sizes();
  }
  const auto a = actual.detach().to(torch::kCPU, torch::kDouble);
  const auto b = expected.detach().to(torch::kCPU, torch::kDouble);
  const auto excess = (a - b).abs() - (tolerance.atol + tolerance.rtol * b.abs());
  // A NaN fails every comparison, so ask for what must hold.
  if (a.numel() == 0 || (excess <= 0).all().item<bool>()) return ::testing::AssertionSuccess();
  const auto difference = (a - b).abs().max().item<double>();
  return ::testing::AssertionFailure()
         << (excess <= 0).logical_not().sum().item<int64_t>() << " of " << a.numel()
         << " elements differ, by up to " << difference << " (rtol " << tolerance.rtol << ", atol "
         << tolerance.atol << ")";
}

inline ::testing::AssertionResult equal(const torch::Tensor& actual,
                                        const torch::Tensor& expected) {
  if (actual.defined() && actual.dtype() == expected.dtype() && torch::equal(actual, expected)) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure() << "tensors are not equal";
}

}  // namespace ibot::testing

#define EXPECT_TENSOR_NEAR(...) EXPECT_TRUE(::ibot::testing::near(__VA_ARGS__))
#define EXPECT_TENSOR_EQUAL(...) EXPECT_TRUE(::ibot::testing::equal(__VA_ARGS__))
