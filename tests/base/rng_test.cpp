#include "ibot/base/rng.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace ibot {
namespace {

std::vector<uint32_t> first_words(Rng rng) {
  std::vector<uint32_t> words;
  for (int i = 0; i < 8; ++i) words.push_back(rng.bits());
  return words;
}

TEST(Rng, IsAPureFunctionOfItsFourNumbers) {
  EXPECT_EQ(first_words(Rng(1, 2, 3, 4)), first_words(Rng(1, 2, 3, 4)));
  std::set<std::vector<uint32_t>> streams;
  for (const auto& [seed, epoch, sample, stream] :
       std::vector<std::array<uint64_t, 4>>{{1, 2, 3, 4},
                                            {2, 2, 3, 4},
                                            {1, 3, 3, 4},
                                            {1, 2, 4, 4},
                                            {1, 2, 3, 5},
                                            {2, 1, 3, 4},
                                            {1ull << 32, 2, 3, 4},
                                            {1, 1ull << 32, 3, 4},
                                            {1, 2, 1ull << 32, 4}}) {
    streams.insert(first_words(Rng(seed, epoch, sample, static_cast<uint32_t>(stream))));
  }
  EXPECT_EQ(streams.size(), 9u);
}

TEST(Rng, UniformHasItsMomentsAndBounds) {
  Rng rng(5, 0, 0, 0);
  double sum = 0, squares = 0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double value = rng.uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.005);
  EXPECT_NEAR(squares / kDraws, 1.0 / 3.0, 0.005);
}

TEST(Rng, IntegersReachBothEndsEquallyOften) {
  Rng rng(6, 0, 0, 0);
  std::array<int, 5> counts{};
  for (int i = 0; i < 50000; ++i) ++counts.at(rng.integer(-2, 2) + 2);
  for (const int count : counts) EXPECT_NEAR(count, 10000, 400);
}

TEST(Rng, NormalHasMeanZeroAndDeviationOne) {
  Rng rng(7, 0, 0, 0);
  double sum = 0, squares = 0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double value = rng.normal();
    ASSERT_TRUE(std::isfinite(value));
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 0.02);
  EXPECT_NEAR(squares / kDraws, 1.0, 0.03);
}

}  // namespace
}  // namespace ibot
