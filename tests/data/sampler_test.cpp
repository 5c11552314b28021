#include "ibot/data/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "ibot/base/error.h"

namespace ibot::data {
namespace {

// Values of torch's DistributedSampler for 23 samples and 4 ranks in epoch 1.
TEST(Sampler, OrderIsThatOfDistributedSampler) {
  EXPECT_EQ(epoch_order(23, 0, 1, {0, 4}), (std::vector<int64_t>{9, 22, 1, 16, 8, 14}));
}

TEST(Sampler, SeedAndEpochAdd) {
  EXPECT_EQ(epoch_order(23, 1, 0, {0, 4}), epoch_order(23, 0, 1, {0, 4}));
}

TEST(Sampler, RanksTogetherSeeEverySample) {
  std::vector<int64_t> all;
  for (int64_t rank = 0; rank < 4; ++rank) {
    const auto part = epoch_order(22, 5, 3, {rank, 4});
    EXPECT_EQ(part.size(), 6U);
    all.insert(all.end(), part.begin(), part.end());
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  std::vector<int64_t> expected(22);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(all, expected);
}

TEST(Sampler, RanksShareOneOrder) {
  const auto alone = epoch_order(24, 7, 2, {0, 1});
  for (int64_t rank = 0; rank < 4; ++rank) {
    const auto part = epoch_order(24, 7, 2, {rank, 4});
    for (size_t i = 0; i < part.size(); ++i) EXPECT_EQ(part[i], alone[4 * i + rank]);
  }
}

TEST(Sampler, FewerSamplesThanRanksRepeat) {
  for (int64_t rank = 0; rank < 5; ++rank) EXPECT_EQ(epoch_order(2, 0, 0, {rank, 5}).size(), 1U);
}

TEST(Sampler, IncompleteLastBatchIsDropped) {
  EXPECT_EQ(steps_per_epoch(23, 2, 4), 3);
  EXPECT_EQ(steps_per_epoch(23, 4, 4), 1);
}

TEST(Sampler, RefusesABatchLargerThanTheShare) {
  try {
    steps_per_epoch(23, 7, 4);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("smaller train.batch_size"), std::string::npos);
  }
}

}  // namespace
}  // namespace ibot::data
