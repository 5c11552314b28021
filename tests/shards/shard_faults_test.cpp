// What a training run makes of damaged shards.
#include <gtest/gtest.h>

#include <set>

#include "ibot/base/error.h"
#include "ibot/loading/inspect.h"
#include "ibot/loading/loader.h"
#include "shards/packed_pictures.h"
#include "support/expect_tensor.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;
using batch::MultiCropBatch;
using testing::PackedPictures;

MultiCropLoaderOptions small_batches() {
  MultiCropLoaderOptions options;
  options.data.workers = 2;
  options.augment.global_size = 16;
  options.augment.local_crops = 0;
  options.grid = {4, 4};
  options.seed = 3;
  options.batch_size = 4;
  options.num_epochs = 2;
  return options;
}

struct Run {
  std::vector<MultiCropBatch> batches;
  std::set<int64_t> bad;
};

Run run(const Dataset& dataset, const MultiCropLoaderOptions& options) {
  MultiCropLoader loader(dataset, options);
  Run run;
  while (auto batch = loader.next()) {
    run.batches.push_back(std::move(*batch));
    for (const auto& sample : loader.take_bad_samples()) {
      EXPECT_TRUE(run.bad.insert(sample.sample).second) << "named twice";
      EXPECT_EQ(sample.path, dataset.path(sample.sample));
    }
  }
  return run;
}

/// Samples that a shard holds.
std::set<int64_t> samples_in(const ShardSet& shards, const fs::path& shard) {
  std::set<int64_t> samples;
  for (int64_t i = 0; i < shards.size(); ++i) {
    if (shards.path(i).starts_with(shard.string() + ":")) samples.insert(i);
  }
  return samples;
}

std::set<int64_t> samples_of(const std::vector<DamagedFile>& damaged) {
  std::set<int64_t> samples;
  for (const auto& file : damaged) {
    if (file.sample >= 0) samples.insert(file.sample);
  }
  return samples;
}

/// Trains through the damage: every sample of `lost` is named once and replaced by a whole one, the
/// same way each time.
void expect_replaced(const PackedPictures& packed, const std::set<int64_t>& lost) {
  const auto shards = packed.open();
  auto options = small_batches();
  options.data.max_bad_share = 0.5;
  const auto first = run(shards, options);
  EXPECT_EQ(first.bad, lost);
  for (const auto& batch : first.batches) {
    for (int64_t i = 0; i < batch.sample_id.size(0); ++i) {
      EXPECT_EQ(lost.count(batch.sample_id[i].item<int64_t>()), 0U);
    }
  }
  options.data.workers = 4;
  const auto second = run(shards, options);
  ASSERT_EQ(second.batches.size(), first.batches.size());
  for (size_t i = 0; i < first.batches.size(); ++i) {
    EXPECT_TENSOR_EQUAL(second.batches[i].global, first.batches[i].global);
  }
  options.data.max_bad_share = 0.0;
  EXPECT_THROW(run(shards, options), DataError);
}

TEST(ShardFaults, WholeShardsGiveTheOrderOfTheStream) {
  const PackedPictures packed(40);
  const auto shards = packed.open();
  const auto whole = run(shards, small_batches());
  ASSERT_EQ(whole.batches.size(), 20U);
  const auto order = stream_order(40, 3, 1, {0, 1});
  for (int64_t i = 0; i < 40; ++i) {
    EXPECT_EQ(whole.batches[10 + i / 4].sample_id[i % 4].item<int64_t>(), order[i]);
  }
  auto options = small_batches();
  options.first_epoch = 1;
  options.first_step = 3;
  const auto resumed = run(shards, options);
  ASSERT_EQ(resumed.batches.size(), 7U);
  for (size_t i = 0; i < 7; ++i) {
    EXPECT_TENSOR_EQUAL(resumed.batches[i].global, whole.batches[13 + i].global);
  }
}

TEST(ShardFaults, RanksTogetherSeeTheGlobalBatch) {
  const PackedPictures packed(40);
  const auto shards = packed.open();
  const auto whole = run(shards, small_batches());
  for (const int64_t world : {2, 4}) {
    for (int64_t rank = 0; rank < world; ++rank) {
      auto options = small_batches();
      options.batch_size = 4 / world;
      options.share = {rank, world};
      const auto part = run(shards, options);
      ASSERT_EQ(part.batches.size(), whole.batches.size());
      for (size_t step = 0; step < part.batches.size(); ++step) {
        const auto mine = torch::arange(options.batch_size) * world + rank;
        EXPECT_TENSOR_EQUAL(part.batches[step].sample_id,
                            whole.batches[step].sample_id.index_select(0, mine));
      }
    }
  }
}

TEST(ShardFaults, AMissingShard) {
  const PackedPictures packed(40);
  const auto lost = samples_in(packed.open(), packed.shard(1));
  fs::remove(packed.shard(1));
  expect_replaced(packed, lost);
  const auto damaged = verify(packed.open(), 2).damaged;
  EXPECT_EQ(samples_of(damaged), lost);
  EXPECT_EQ(damaged[0].path, packed.shard(1));
}

TEST(ShardFaults, AShardThatIsNoFile) {
  const PackedPictures packed(40);
  const auto lost = samples_in(packed.open(), packed.shard(0));
  fs::remove(packed.shard(0));
  fs::create_directory(packed.shard(0));
  expect_replaced(packed, lost);
}

TEST(ShardFaults, ATruncatedShard) {
  const PackedPictures packed(40);
  const auto all = samples_in(packed.open(), packed.shard(2));
  fs::resize_file(packed.shard(2), fs::file_size(packed.shard(2)) / 2);
  const auto damaged = samples_of(verify(packed.open(), 2).damaged);
  EXPECT_LT(damaged.size(), all.size());
  EXPECT_GT(damaged.size(), all.size() / 3);
  expect_replaced(packed, damaged);
}

// A decoder would take most of these for other pictures.
TEST(ShardFaults, AFlippedBitInAnImage) {
  const PackedPictures packed(40);
  const auto shards = packed.open();
  const auto lost = samples_in(shards, packed.shard(1));
  const auto bytes = shards.read(*lost.begin());
  testing::flip_byte(packed.shard(1), 512 + bytes.size() / 2);
  expect_replaced(packed, {*lost.begin()});
  const auto damaged = verify(packed.open(), 2).damaged;
  ASSERT_EQ(damaged.size(), 2U);
  EXPECT_EQ(damaged[0].path, packed.shard(1));
  EXPECT_EQ(damaged[1].sample, *lost.begin());
  EXPECT_NE(damaged[1].reason.find("XXH3 differs"), std::string::npos);
}

// Others could not read the sample, whose place we know.
TEST(ShardFaults, AFlippedBitInAHeader) {
  const PackedPictures packed(40);
  const auto first = *samples_in(packed.open(), packed.shard(1)).begin();
  testing::flip_byte(packed.shard(1), 3);
  const auto damaged = verify(packed.open(), 2).damaged;
  EXPECT_EQ(samples_of(damaged), std::set<int64_t>{first});
  EXPECT_NE(damaged[1].reason.find("checksum"), std::string::npos);
  EXPECT_TRUE(run(packed.open(), small_batches()).bad.empty());
}

TEST(ShardFaults, EveryByteOfAShardIsWatched) {
  const PackedPictures packed(9);
  const auto size = fs::file_size(packed.shard(0));
  for (size_t position = 0; position < size; position += 397) {
    testing::flip_byte(packed.shard(0), position);
    EXPECT_FALSE(verify(packed.open(), 2).damaged.empty()) << position;
    testing::flip_byte(packed.shard(0), position);
  }
  EXPECT_TRUE(verify(packed.open(), 2).damaged.empty());
}

TEST(ShardFaults, AnImageThatWasNoneWhenPacked) {
  const PackedPictures packed(40, {4});
  const auto damaged = verify(packed.open(), 2).damaged;
  ASSERT_EQ(damaged.size(), 1U);
  EXPECT_NE(damaged[0].reason.find("expected an image"), std::string::npos);
  expect_replaced(packed, {damaged[0].sample});
}

// The default limit lets a tenth of its share of bad images pass.
TEST(ShardFaults, AThousandthOfCorruptImages) {
  const PackedPictures packed(2000, {700, 1500});
  auto options = small_batches();
  options.batch_size = 50;
  options.num_epochs = 1;
  for (const bool sharded : {false, true}) {
    const auto shards = packed.open();
    const Dataset& dataset = sharded ? static_cast<const Dataset&>(shards) : packed.folder();
    const auto seen = run(dataset, options);
    EXPECT_EQ(seen.batches.size(), 40U);
    EXPECT_EQ(seen.bad.size(), 2U);
  }
}

}  // namespace
}  // namespace ibot::data
