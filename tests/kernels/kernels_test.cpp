#include <gtest/gtest.h>

#include "ibot/kernels/layer_norm.h"
#include "ibot/kernels/softmax.h"
#include "ibot/kernels/table.h"
#include "support/expect_tensor.h"
#include "support/test_device.h"

// Own code against LibTorch's operators, on IBOT_DEVICE.
namespace ibot::kernels {
namespace {

using testing::test_device;

struct Kernels : ::testing::TestWithParam<size_t> {
  const TableRow& row() const { return table()[GetParam()]; }
};

TEST_P(Kernels, OwnCodeIsTheFallbackButForRounding) {
  if (!row().choice.has_own(test_device().type())) GTEST_SKIP() << "no own code on this device";
  for (const auto& difference : compare(row(), test_device())) {
    EXPECT_LE(difference.found, difference.allowed) << difference.type << " " << difference.error;
  }
}

// Widths around those of vectors, where the last part of a row is handled apart.
TEST_P(Kernels, EveryWidthIsTheSame) {
  if (!row().choice.has_own(test_device().type())) GTEST_SKIP() << "no own code on this device";
  for (const auto type : row().types) {
    for (const int64_t width : {1, 7, 16, 31, 32, 33, 48, 64, 197}) {
      const auto difference =
          compare(row(), Trial{.device = test_device(), .type = type, .rows = 5, .width = width});
      EXPECT_LE(difference.found, difference.allowed) << type << " " << width;
    }
  }
}

TEST_P(Kernels, FallbacksAloneRunOnDemand) {
  const FallbacksOnly fallbacks;
  EXPECT_FALSE(row().choice.runs_own(test_device().type()));
}

INSTANTIATE_TEST_SUITE_P(Table, Kernels, ::testing::Range(size_t{0}, table().size()),
                         [](const auto& row) { return table()[row.param].choice.name(); });

// A closed form: two numbers a row are -1 and 1 once normalized.
TEST(Normalize, TwoNumbersAreAPairOfSigns) {
  const auto rows = torch::tensor({{1.0F, 3.0F}, {-5.0F, -7.0F}}).to(test_device());
  const NormParameters norm{torch::tensor({2.0F, 2.0F}).to(test_device()),
                            torch::tensor({0.5F, 0.5F}).to(test_device()), 0.0};
  const auto expected = torch::tensor({{-1.5F, 2.5F}, {2.5F, -1.5F}});
  EXPECT_TENSOR_NEAR(normalize(rows, norm, torch::kBFloat16, {}), expected, {.atol = 0.01});
}

TEST(ScaledSoftmax, OneScoreHasAllTheWeight) {
  const auto scores = torch::full({3, 1}, 7.0, torch::kBFloat16).to(test_device());
  EXPECT_TENSOR_NEAR(scaled_softmax(scores, 0.5), torch::ones({3, 1}));
}

// Rows that lie apart in memory are rows like others.
TEST(Normalize, TakesRowsThatLieApart) {
  const auto wide = torch::arange(4 * 12, torch::kFloat).view({4, 12}).sin().to(test_device());
  const auto apart = wide.slice(1, 0, 12, 2);
  const NormParameters norm{torch::ones({6}).to(test_device()), torch::zeros({6}).to(test_device()),
                            1e-6};
  EXPECT_TENSOR_EQUAL(normalize(apart, norm, torch::kBFloat16, {}).cpu(),
                      normalize(apart.contiguous(), norm, torch::kBFloat16, {}).cpu());
}

int calls = 0;

torch::Tensor doubled(const torch::Tensor& x) { return x * 2; }
torch::Tensor wrong(const torch::Tensor& x) {
  ++calls;
  return x * 2.5;
}
torch::Tensor failing(const torch::Tensor&) { throw std::runtime_error("no image for this GPU"); }

using Doubled = Kernel<decltype(doubled)>;

/// A kernel of its own for each function: what is switched off stays so.
template <torch::Tensor (*function)(const torch::Tensor&)>
TableRow broken_row() {
  static Doubled kernel("doubled", doubled, {{torch::kCPU, function}});
  return {kernel,
          {torch::kFloat},
          [](const Trial& trial) -> Subject {
            return {[=]() -> std::vector<torch::Tensor> {
              return {kernel.on(trial.device)(torch::ones({3}, trial.device))};
            }};
          },
          1,
          1};
}

TEST(KernelCheck, AWrongKernelUsesItsFallbackFromThenOn) {
  const std::vector rows{broken_row<wrong>()};
  const auto found = check(torch::kCPU, rows);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].kernel, "doubled");
  EXPECT_DOUBLE_EQ(found[0].found, 0.25);
  EXPECT_GT(found[0].found, found[0].allowed);
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(rows[0].choice.runs_own(torch::kCPU));
  EXPECT_TRUE(check(torch::kCPU, rows).empty());
  EXPECT_EQ(calls, 1);
}

TEST(KernelCheck, AKernelThatFailsDoesTheSame) {
  const std::vector rows{broken_row<failing>()};
  const auto found = check(torch::kCPU, rows);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].error, "no image for this GPU");
  EXPECT_FALSE(rows[0].choice.runs_own(torch::kCPU));
}

TEST(KernelCheck, RightKernelsAreNotTold) { EXPECT_TRUE(check(test_device()).empty()); }

}  // namespace
}  // namespace ibot::kernels
