#include "ibot/loading/segmentation_loader.h"

#include <gtest/gtest.h>

#include "data/scene_folder.h"
#include "ibot/base/error.h"
#include "support/expect_tensor.h"

namespace ibot::data {
namespace {

using testing::SceneFolder;

SegmentationLoaderOptions small() {
  return {.transform = {.crop_size = 32, .resize_long = 80, .resize_short = 40},
          .batch_size = 2,
          .steps_per_epoch = 2,
          .num_epochs = 3,
          .workers = 2};
}

std::vector<batch::SegmentationBatch> all_batches(const SegmentationSet& set,
                                                  const SegmentationLoaderOptions& options) {
  SegmentationLoader loader(set, options);
  std::vector<batch::SegmentationBatch> batches;
  while (auto batch = loader.next()) batches.push_back(*std::move(batch));
  return batches;
}

TEST(SegmentationLoader, BatchesDependOnTheirPositionAlone) {
  const SceneFolder folder(5);
  const auto set = open_segmentation(folder.path(), {}, Split::kTrain);
  auto options = small();
  const auto whole = all_batches(set, options);
  ASSERT_EQ(whole.size(), 6U);
  options.first_epoch = 1;
  options.first_step = 1;
  options.workers = 1;
  const auto rest = all_batches(set, options);
  ASSERT_EQ(rest.size(), 3U);
  for (size_t i = 0; i < rest.size(); ++i) {
    EXPECT_TENSOR_EQUAL(rest[i].image, whole[i + 3].image);
    EXPECT_TENSOR_EQUAL(rest[i].label, whole[i + 3].label);
    EXPECT_TENSOR_EQUAL(rest[i].size, whole[i + 3].size);
  }
}

TEST(SegmentationLoader, RanksShareTheBatchOfOne) {
  const SceneFolder folder(4);
  const auto set = open_segmentation(folder.path(), {}, Split::kTrain);
  auto options = small();
  const auto whole = all_batches(set, options);
  options.batch_size = 1;
  for (int64_t rank = 0; rank < 2; ++rank) {
    options.share = {.rank = rank, .world = 2};
    const auto part = all_batches(set, options);
    ASSERT_EQ(part.size(), whole.size());
    for (size_t i = 0; i < part.size(); ++i) {
      EXPECT_TENSOR_EQUAL(part[i].image[0], whole[i].image[rank]);
    }
  }
}

TEST(SegmentationTestLoader, GivesEveryVersionOfEveryImage) {
  const SceneFolder folder(3);
  const auto set = open_segmentation(folder.path(), {}, Split::kVal);
  SegmentationTestLoader loader(set, {.transform = small().transform,
                                      .ratios = {0.5, 1.5},
                                      .keeps_original = true,
                                      .begin = 1,
                                      .end = 3,
                                      .workers = 2});
  int64_t count = 0;
  while (const auto sample = loader.next()) {
    EXPECT_EQ(sample->sample, ++count);
    ASSERT_EQ(sample->versions.size(), 2U);
    EXPECT_EQ(sample->versions[0].sizes(), (std::vector<int64_t>{3, 32, 43}));
    EXPECT_EQ(sample->versions[1].sizes(), (std::vector<int64_t>{3, 60, 80}));
    EXPECT_EQ(sample->original.sizes(), (std::vector<int64_t>{3, 30, 40}));
    EXPECT_EQ(sample->label.sizes(), (std::vector<int64_t>{30, 40}));
  }
  EXPECT_EQ(count, 2);
}

TEST(SegmentationTestLoader, RefusesAMapOfAnotherSize) {
  const SceneFolder folder(2);
  folder.write_label("validation", "scene_0", SceneFolder::label().t().contiguous());
  const auto set = open_segmentation(folder.path(), {}, Split::kVal);
  SegmentationTestLoader loader(set, {.transform = small().transform, .end = 2});
  EXPECT_THROW(loader.next(), DataError);
}

}  // namespace
}  // namespace ibot::data
