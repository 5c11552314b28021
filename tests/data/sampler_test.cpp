#include "ibot/data/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "ibot/base/error.h"
#include "support/golden.h"

namespace ibot::data {
namespace {

// Values of torch's DistributedSampler for 23 samples and 4 ranks in epoch 1.
TEST(Sampler, OrderIsThatOfDistributedSampler) {
  EXPECT_EQ(epoch_order(23, 0, 1, {0, 4}), (std::vector<int64_t>{9, 22, 1, 16, 8, 14}));
}

TEST(SamplerGolden, OrderIsThatOfDistributedSampler) {
  const auto json =
      testing::read_json(testing::golden_root() / "16_retrieval_and_sampling/misc.json");
  for (const auto& item : json["distributed_sampler"]["items"]) {
    EXPECT_EQ(
        epoch_order(item["dataset_size"], 0, item["epoch"], {item["rank"], item["world_size"]}),
        item["indices"].get<std::vector<int64_t>>());
  }
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

TEST(Sampler, RepeatsComeInARowOverAllRanks) {
  const auto samples = epoch_order(600, 7, 2, {0, 1});
  for (int64_t rank = 0; rank < 4; ++rank) {
    const auto order = repeated_order(600, 3, 7, 2, {rank, 4});
    ASSERT_EQ(order.size(), 128U);  // 512 of 600, over 4 ranks
    for (size_t i = 0; i < order.size(); ++i) {
      const size_t place = 4 * i + rank;
      EXPECT_EQ(order[i].sample, samples[place / 3]);
      EXPECT_EQ(order[i].repetition, static_cast<int64_t>(place % 3));
    }
  }
}

// The published settings: steps of 768 or 1024 images.
TEST(Sampler, RepeatsLeaveThePublishedNumberOfSteps) {
  const auto steps = [](int64_t images, int64_t batch) {
    return static_cast<int64_t>(repeated_order(images, 3, 0, 0, {0, 8}).size()) / batch;
  };
  EXPECT_EQ(steps(12811, 128), 12);
  EXPECT_EQ(steps(128116, 128), 125);
  EXPECT_EQ(steps(50000, 96), 65);
  EXPECT_EQ(steps(2040, 96), 2);
  EXPECT_EQ(steps(8144, 96), 10);
  EXPECT_EQ(steps(437513, 96), 569);
  EXPECT_EQ(steps(265213, 96), 345);
}

TEST(Sampler, RepeatsOfASmallSetAreNotRoundedAway) {
  EXPECT_EQ(repeated_order(10, 3, 0, 0, {0, 1}).size(), 10U);
  EXPECT_EQ(repeated_order(10, 3, 0, 0, {1, 3}).size(), 3U);
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
