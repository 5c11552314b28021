#include "ibot/loading/sampler.h"

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
  for (const auto& golden : testing::golden_cases("16_retrieval_and_sampling")) {
    for (const auto& item : golden.json["distributed_sampler"]["items"].elements()) {
      EXPECT_EQ(
          epoch_order(item["dataset_size"], 0, item["epoch"], {item["rank"], item["world_size"]}),
          item["indices"].get<std::vector<int64_t>>());
    }
    // Retrieval, copy detection and label propagation are not built here.
    golden.json.expect_all_read({"map", "copy_detection_ap", "copy_detection_features",
                                 "label_propagation", "file", "tolerance",
                                 "distributed_sampler/rule"});
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

TEST(Sampler, AStreamShowsEverySampleOnce) {
  for (const int64_t size : {1, 127, 128, 129, 65536, 70000}) {
    auto order = stream_order(size, 7, 2, {0, 1});
    std::sort(order.begin(), order.end());
    std::vector<int64_t> expected(size);
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(order, expected) << size;
  }
}

TEST(Sampler, RanksShareOneStream) {
  const auto alone = stream_order(1001, 7, 2, {0, 1});
  for (const int64_t world : {2, 4}) {
    for (int64_t rank = 0; rank < world; ++rank) {
      const auto part = stream_order(1001, 7, 2, {rank, world});
      ASSERT_EQ(part.size(), static_cast<size_t>((1001 + world - 1) / world));
      for (size_t i = 0; i < part.size(); ++i) {
        EXPECT_EQ(part[i], alone[(world * i + rank) % 1001]);
      }
    }
  }
}

TEST(Sampler, AStreamChangesWithSeedAndEpoch) {
  const auto order = stream_order(1000, 7, 2, {0, 1});
  EXPECT_EQ(order, stream_order(1000, 7, 2, {0, 1}));
  EXPECT_NE(order, stream_order(1000, 8, 2, {0, 1}));
  EXPECT_NE(order, stream_order(1000, 7, 3, {0, 1}));
}

// 512 places are read in turn, each forward, and once from the end of its run to the beginning.
TEST(Sampler, AStreamReadsForwardInFewPlaces) {
  const int64_t size = 100'000;
  const auto order = stream_order(size, 1, 0, {0, 1});
  std::vector<int64_t> first(size / 128 + 1, -1);
  std::vector<int64_t> last(first.size(), -1);
  for (int64_t i = 0; i < size; ++i) {
    const int64_t run = order[i] / 128;
    const int64_t length = std::min<int64_t>(128, size - run * 128);
    if (first[run] < 0) {
      first[run] = i;
    } else {
      EXPECT_EQ(order[i] % 128, (order[last[run]] + 1) % 128 % length);
    }
    last[run] = i;
  }
  for (size_t run = 0; run < first.size(); ++run) EXPECT_LT(last[run] - first[run], 512 * 128);
}

// What decides how well an epoch is mixed: how far samples move between two epochs (a third of the
// data set when the orders have nothing to do with each other), and how many of a batch meet again.
TEST(Sampler, AStreamIsMixedLikeAPermutation) {
  const int64_t size = 200'000;
  const int64_t batch = 1024;
  std::vector<int64_t> before(size);
  std::vector<int64_t> after(size);
  const auto first = stream_order(size, 1, 0, {0, 1});
  const auto second = stream_order(size, 1, 1, {0, 1});
  for (int64_t i = 0; i < size; ++i) {
    before[first[i]] = i;
    after[second[i]] = i;
  }
  double moved = 0;
  for (int64_t i = 0; i < size; ++i) moved += std::abs(before[i] - after[i]);
  EXPECT_NEAR(moved / size / size, 1.0 / 3, 0.02);

  // Of the 1023 others in its batch a sample meets 5.1 again by chance alone, and one or two more
  // of its own run.
  double again = 0;
  for (int64_t b = 0; b < size / batch; ++b) {
    std::vector<int64_t> counts(size / batch + 1, 0);
    for (int64_t i = b * batch; i < (b + 1) * batch; ++i) ++counts[after[first[i]] / batch];
    for (const int64_t count : counts) again += count * (count - 1);
  }
  again /= static_cast<double>(size / batch * batch);
  EXPECT_GT(again, 4.5);
  EXPECT_LT(again, 8.0);
}

// A run of four ranks, whose epochs have 24 places for 23 samples, goes on with fewer ranks.
TEST(Sampler, ACountMakesOrdersOfAnyNumberOfRanksOne) {
  std::vector<int64_t> places(24);
  for (int64_t rank = 0; rank < 4; ++rank) {
    const auto part = epoch_order(23, 7, 2, {rank, 4});
    for (size_t i = 0; i < part.size(); ++i) places[4 * i + rank] = part[i];
  }
  EXPECT_EQ(epoch_order(23, 7, 2, {0, 1, 24}), places);
  const auto odd = epoch_order(23, 7, 2, {1, 2, 12});
  for (size_t i = 0; i < odd.size(); ++i) EXPECT_EQ(odd[i], places[2 * i + 1]);
  places.resize(20);
  EXPECT_EQ(epoch_order(23, 7, 2, {0, 1, 20}), places);

  const auto whole = stream_order(23, 7, 2, {0, 1, 24});
  EXPECT_EQ(whole.back(), whole.front());
  for (const int64_t rank : {0, 1}) {
    const auto part = stream_order(23, 7, 2, {rank, 2, 10});
    for (size_t i = 0; i < part.size(); ++i) EXPECT_EQ(part[i], whole[2 * i + rank]);
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
