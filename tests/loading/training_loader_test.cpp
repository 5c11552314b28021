#include "ibot/loading/training_loader.h"

#include <gtest/gtest.h>

#include <set>

#include "ibot/base/error.h"
#include "shards/packed_pictures.h"
#include "support/expect_tensor.h"

namespace ibot::data {
namespace {

using testing::FolderOfPictures;

TrainingLoaderOptions small_training() {
  TrainingLoaderOptions options;
  options.transform.size = 16;
  options.batch_size = 4;
  options.num_epochs = 3;
  options.workers = 2;
  return options;
}

std::vector<batch::LabeledBatch> all_batches(const Dataset& dataset,
                                             const TrainingLoaderOptions& options) {
  TrainingLoader loader(dataset, options);
  std::vector<batch::LabeledBatch> batches;
  while (auto batch = loader.next()) batches.push_back(*std::move(batch));
  return batches;
}

void expect_equal(const batch::LabeledBatch& a, const batch::LabeledBatch& b) {
  EXPECT_TENSOR_EQUAL(a.image, b.image);
  EXPECT_TENSOR_EQUAL(a.label, b.label);
  EXPECT_TENSOR_EQUAL(a.sample_id, b.sample_id);
}

TEST(TrainingLoader, DropsOrKeepsTheLastBatch) {
  const FolderOfPictures folder(10);
  auto options = small_training();
  EXPECT_EQ(all_batches(folder.dataset(), options).size(), 6U);
  options.drop_last = false;
  const auto batches = all_batches(folder.dataset(), options);
  ASSERT_EQ(batches.size(), 9U);
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::set<int64_t> seen;
    for (int step = 0; step < 3; ++step) {
      const auto& batch = batches[3 * epoch + step];
      EXPECT_EQ(batch.image.size(0), step == 2 ? 2 : 4);
      for (int64_t i = 0; i < batch.image.size(0); ++i) {
        const auto sample = batch.sample_id[i].item<int64_t>();
        seen.insert(sample);
        EXPECT_EQ(batch.label[i].item<int64_t>(), folder.dataset().label(sample));
      }
    }
    EXPECT_EQ(seen.size(), 10U);
  }
  EXPECT_FALSE(torch::equal(batches[0].sample_id, batches[3].sample_id));
}

TEST(TrainingLoader, DoesNotDependOnThreadsOrWhereItBegins) {
  const FolderOfPictures folder(10);
  auto options = small_training();
  const auto whole = all_batches(folder.dataset(), options);
  options.workers = 4;
  options.first_epoch = 1;
  options.first_step = 1;
  const auto rest = all_batches(folder.dataset(), options);
  ASSERT_EQ(rest.size(), 3U);
  for (size_t i = 0; i < rest.size(); ++i) expect_equal(rest[i], whole[i + 3]);
}

TEST(TrainingLoader, RepeatsAreDifferentPicturesOfOneSample) {
  const FolderOfPictures folder(8);
  auto options = small_training();
  options.repeats = 3;
  options.num_epochs = 1;
  const auto batches = all_batches(folder.dataset(), options);
  ASSERT_EQ(batches.size(), 2U);
  const auto& first = batches[0];
  EXPECT_EQ(first.sample_id[0].item<int64_t>(), first.sample_id[2].item<int64_t>());
  EXPECT_NE(first.sample_id[0].item<int64_t>(), first.sample_id[3].item<int64_t>());
  EXPECT_FALSE(torch::equal(first.image[0], first.image[1]));
  EXPECT_FALSE(torch::equal(first.image[1], first.image[2]));
}

TEST(TrainingLoader, DealsAnUpdateToItsBatchesAsToRanks) {
  const FolderOfPictures folder(19);
  auto options = small_training();
  options.num_epochs = 1;
  options.drop_last = false;
  options.batches_per_update = 2;
  const auto batches = all_batches(folder.dataset(), options);
  std::vector<std::vector<int64_t>> expected(5);
  const auto order = epoch_order(19, options.seed, 0, {0, 1});
  for (int64_t i = 0; i < 16; ++i) expected[i / 8 * 2 + i % 2].push_back(order[i]);
  expected[4] = {order.begin() + 16, order.end()};  // no whole update
  ASSERT_EQ(batches.size(), expected.size());
  for (size_t i = 0; i < batches.size(); ++i) {
    EXPECT_TENSOR_EQUAL(batches[i].sample_id, torch::tensor(expected[i])) << i;
  }
}

TEST(TrainingLoader, ShardsAreReadInTheOrderOfTheStream) {
  const testing::PackedPictures packed(40);
  const auto shards = packed.open();
  const auto whole = all_batches(shards, small_training());
  ASSERT_EQ(whole.size(), 30U);
  const auto order = stream_order(40, small_training().seed, 1, {0, 1});
  for (int64_t i = 0; i < 40; ++i) {
    EXPECT_EQ(whole[10 + i / 4].sample_id[i % 4].item<int64_t>(), order[i]);
  }
  auto options = small_training();
  options.first_epoch = 2;
  options.first_step = 7;
  const auto rest = all_batches(shards, options);
  ASSERT_EQ(rest.size(), 3U);
  for (size_t i = 0; i < rest.size(); ++i) expect_equal(rest[i], whole[i + 27]);
  // Ranks together see the batch of one.
  for (const int64_t rank : {0, 1}) {
    options = small_training();
    options.batch_size = 2;
    options.share = {rank, 2};
    const auto part = all_batches(shards, options);
    ASSERT_EQ(part.size(), whole.size());
    for (size_t i = 0; i < part.size(); ++i) {
      EXPECT_TENSOR_EQUAL(part[i].sample_id,
                          whole[i].sample_id.index_select(0, torch::arange(2) * 2 + rank));
    }
  }
}

TEST(TrainingLoader, LeavesOutTheRestOfAnEpochWhenTold) {
  const FolderOfPictures folder(10);
  auto options = small_training();
  options.max_steps_per_epoch = 1;
  EXPECT_EQ(all_batches(folder.dataset(), options).size(), 3U);
}

TEST(TrainingLoader, ABadImageIsAnError) {
  const FolderOfPictures folder(8, {5});
  EXPECT_THROW(all_batches(folder.dataset(), small_training()), DataError);
}

TEST(TrainingLoader, RefusesABatchLargerThanTheDataSet) {
  const FolderOfPictures folder(3);
  EXPECT_THROW(TrainingLoader(folder.dataset(), small_training()), DataError);
  auto options = small_training();
  options.drop_last = false;
  EXPECT_EQ(TrainingLoader(folder.dataset(), options).steps_per_epoch(), 1);
}

}  // namespace
}  // namespace ibot::data
