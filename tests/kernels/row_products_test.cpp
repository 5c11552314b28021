#include "kernels/row_products.h"

#include <gtest/gtest.h>
#include <torch/utils.h>

#include <array>

#include "support/expect_tensor.h"

namespace ibot::kernels {
namespace {

TEST(RowProducts, AreThoseOfDoublesWhateverTheSizes) {
  const auto multiply = row_products();
  if (multiply == nullptr)
    GTEST_SKIP() << "this processor has no AVX512-BF16: it never runs the code";
  torch::manual_seed(1);
  for (const auto& [left_rows, right_rows, width] :
       {std::array<int64_t, 3>{1, 1, 1}, {6, 4, 32}, {7, 9, 384}, {13, 3, 65}, {5, 6, 31}}) {
    SCOPED_TRACE(width);
    const auto left = torch::randn({left_rows, width}).to(torch::kBFloat16);
    const auto right = torch::randn({right_rows, width}).to(torch::kBFloat16);
    // What lies beyond the products stays.
    auto products = torch::full({left_rows * right_rows + 8}, -7.0F);
    multiply({width, left.const_data_ptr<c10::BFloat16>(), left_rows,
              right.const_data_ptr<c10::BFloat16>(), right_rows,
              products.mutable_data_ptr<float>()});
    const auto expected = left.to(torch::kDouble).mm(right.to(torch::kDouble).t()).flatten();
    EXPECT_TENSOR_NEAR(products.slice(0, 0, expected.numel()), expected);
    EXPECT_TENSOR_EQUAL(products.slice(0, expected.numel()), torch::full({8}, -7.0F));
  }
}

}  // namespace
}  // namespace ibot::kernels
