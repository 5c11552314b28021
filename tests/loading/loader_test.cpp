#include "ibot/loading/loader.h"

#include <gtest/gtest.h>

#include "data/folder_of_pictures.h"
#include "ibot/base/error.h"
#include "support/expect_tensor.h"

namespace ibot::data {
namespace {

using batch::MultiCropBatch;
using testing::FolderOfPictures;

MultiCropLoaderOptions small() {
  MultiCropLoaderOptions options;
  options.data.workers = 2;
  options.data.prefetch_batches = 2;
  options.augment.global_size = 32;
  options.augment.local_size = 16;
  options.augment.local_crops = 3;
  options.mask.ratio = {0.3};
  options.mask.ratio_var = {0.2};
  options.grid = {8, 8};
  options.seed = 3;
  options.batch_size = 4;
  options.num_epochs = 2;
  return options;
}

std::vector<MultiCropBatch> all_batches(const Dataset& dataset,
                                        const MultiCropLoaderOptions& options) {
  MultiCropLoader loader(dataset, options);
  std::vector<MultiCropBatch> batches;
  while (auto batch = loader.next()) batches.push_back(std::move(*batch));
  return batches;
}

void expect_equal(const MultiCropBatch& actual, const MultiCropBatch& expected) {
  EXPECT_TENSOR_EQUAL(actual.global, expected.global);
  EXPECT_TENSOR_EQUAL(actual.local, expected.local);
  EXPECT_TENSOR_EQUAL(actual.mask, expected.mask);
  EXPECT_TENSOR_EQUAL(actual.crop_box, expected.crop_box);
  EXPECT_TENSOR_EQUAL(actual.pairs.student, expected.pairs.student);
  EXPECT_TENSOR_EQUAL(actual.pairs.teacher, expected.pairs.teacher);
  EXPECT_TENSOR_EQUAL(actual.pairs.weight, expected.pairs.weight);
  EXPECT_TENSOR_EQUAL(actual.sample_id, expected.sample_id);
  EXPECT_TENSOR_EQUAL(actual.label, expected.label);
}

TEST(Loader, ShapesAreAsDocumented) {
  const FolderOfPictures folder(10);
  MultiCropLoader loader(folder.dataset(), small());
  EXPECT_EQ(loader.steps_per_epoch(), 2);
  const auto batch = loader.next().value();
  EXPECT_EQ(batch.global.sizes(), (std::vector<int64_t>{8, 3, 32, 32}));
  EXPECT_EQ(batch.local.sizes(), (std::vector<int64_t>{12, 3, 16, 16}));
  EXPECT_EQ(batch.mask.sizes(), (std::vector<int64_t>{8, 64}));
  EXPECT_EQ(batch.pairs.student.size(0), batch.mask.sum().item<int64_t>());
  EXPECT_EQ(batch.global.scalar_type(), torch::kByte);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(batch.label[i].item<int64_t>(),
              folder.dataset().label(batch.sample_id[i].item<int64_t>()));
  }
}

TEST(Loader, WithoutLocalCropsThereAreNone) {
  const FolderOfPictures folder(4);
  auto options = small();
  options.augment.local_crops = 0;
  MultiCropLoader loader(folder.dataset(), options);
  EXPECT_FALSE(loader.next()->local.defined());
}

/// The first batch with these masks and pairs.
MultiCropBatch first_batch(const Dataset& dataset, mask::MaskViews views,
                           mask::PatchPairing pairs = mask::PatchPairing::kMasked) {
  auto options = small();
  options.local_grid = {4, 4};
  options.mask.views = views;
  options.mask.pairs = pairs;
  if (pairs != mask::PatchPairing::kMasked) options.mask.ratio = options.mask.ratio_var = {0.0};
  return *MultiCropLoader(dataset, options).next();
}

TEST(Loader, MasksTheViewsAskedFor) {
  const FolderOfPictures folder(4);
  const auto global = first_batch(folder.dataset(), mask::MaskViews::kGlobal);
  EXPECT_FALSE(global.local_mask.defined());
  EXPECT_TRUE(global.mask.any(1).all().item<bool>());

  const auto first = first_batch(folder.dataset(), mask::MaskViews::kFirstGlobal);
  EXPECT_TENSOR_EQUAL(first.mask.narrow(0, 0, 4), global.mask.narrow(0, 0, 4));
  EXPECT_FALSE(first.mask.narrow(0, 4, 4).any().item<bool>());
  EXPECT_EQ(first.pairs.views, 8);

  const auto all = first_batch(folder.dataset(), mask::MaskViews::kAll);
  EXPECT_TENSOR_EQUAL(all.mask, global.mask);
  EXPECT_EQ(all.local_mask.sizes(), (std::vector<int64_t>{12, 16}));
  EXPECT_GT(all.local_mask.any(1).sum().item<int64_t>(), 6);
  EXPECT_EQ(all.pairs.student_local.size(0), all.local_mask.sum().item<int64_t>());
  EXPECT_EQ(all.pairs.views, 20);
}

TEST(Loader, PairsByPositionInItsBoxes) {
  const FolderOfPictures folder(4);
  const auto batch =
      first_batch(folder.dataset(), mask::MaskViews::kGlobal, mask::PatchPairing::kPosition);
  EXPECT_EQ(batch.crop_box.sizes(), (std::vector<int64_t>{8, 4}));
  const auto expected = batch::pairs_by_position(batch.crop_box, {8, 8});
  EXPECT_TENSOR_EQUAL(batch.pairs.student, expected.student);
  EXPECT_TENSOR_EQUAL(batch.pairs.teacher, expected.teacher);
  EXPECT_GT(expected.student.size(0), 0);
  const auto edges = batch.crop_box;  // top, left, bottom, right; left > right where mirrored
  EXPECT_TRUE((edges.select(1, 2) > edges.select(1, 0)).all().item<bool>());
  EXPECT_TRUE((edges.select(1, 3) != edges.select(1, 1)).all().item<bool>());
  EXPECT_TRUE((edges >= 0).all().item<bool>());
}

TEST(Loader, SamplesFollowTheOrderOfTheEpochs) {
  const FolderOfPictures folder(10);
  const auto batches = all_batches(folder.dataset(), small());
  ASSERT_EQ(batches.size(), 4U);
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    const auto order = epoch_order(10, 3, epoch, {});
    for (int64_t i = 0; i < 8; ++i) {
      EXPECT_EQ(batches[2 * epoch + i / 4].sample_id[i % 4].item<int64_t>(), order[i]);
    }
  }
}

TEST(Loader, ThreadsDoNotChangeTheBatches) {
  const FolderOfPictures folder(10, {2});
  auto options = small();
  options.data.max_bad_share = 1;
  const auto expected = all_batches(folder.dataset(), options);
  options.data.workers = 4;
  options.data.prefetch_batches = 5;
  const auto actual = all_batches(folder.dataset(), options);
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) expect_equal(actual[i], expected[i]);
}

TEST(Loader, StartingWithinAnEpochContinuesTheStream) {
  const FolderOfPictures folder(10);
  const auto expected = all_batches(folder.dataset(), small());
  for (size_t start = 0; start <= expected.size(); ++start) {
    auto options = small();
    options.first_epoch = static_cast<int64_t>(start) / 2;
    options.first_step = static_cast<int64_t>(start) % 2;
    const auto rest = all_batches(folder.dataset(), options);
    ASSERT_EQ(rest.size(), expected.size() - start);
    for (size_t i = 0; i < rest.size(); ++i) expect_equal(rest[i], expected[start + i]);
  }
}

// Two ranks of batch 2 see at each step the samples that one of batch 4 sees, with the same pixels.
TEST(Loader, RanksTogetherSeeTheGlobalBatch) {
  const FolderOfPictures folder(8);
  const auto whole = all_batches(folder.dataset(), small());
  for (const int64_t world : {2, 4}) {
    for (int64_t rank = 0; rank < world; ++rank) {
      auto options = small();
      options.batch_size = 4 / world;
      options.share = {rank, world};
      const auto part = all_batches(folder.dataset(), options);
      ASSERT_EQ(part.size(), whole.size());
      for (size_t step = 0; step < part.size(); ++step) {
        const auto mine = torch::arange(options.batch_size) * world + rank;
        EXPECT_TENSOR_EQUAL(part[step].sample_id, whole[step].sample_id.index_select(0, mine));
        const auto rows = torch::cat({mine, mine + 4});
        EXPECT_TENSOR_EQUAL(part[step].global, whole[step].global.index_select(0, rows));
        EXPECT_TENSOR_EQUAL(part[step].mask, whole[step].mask.index_select(0, rows));
      }
    }
  }
}

TEST(Loader, MasksBeginWithTheirEpoch) {
  const FolderOfPictures folder(4);
  auto options = small();
  options.mask.start_epoch = 1;
  const auto batches = all_batches(folder.dataset(), options);
  EXPECT_EQ(batches[0].pairs.student.numel(), 0);
  EXPECT_GT(batches[1].pairs.student.numel(), 0);
}

TEST(Loader, BadImagesAreReplacedCountedAndNamedOnce) {
  const FolderOfPictures folder(9, {0, 4});
  // Sorted by class: files 0 3 6 are samples 0 1 2, files 1 4 7 samples 3 4 5.
  auto options = small();
  options.batch_size = 9;
  options.num_epochs = 3;
  options.data.max_bad_share = 0.25;
  MultiCropLoader loader(folder.dataset(), options);
  for (int epoch = 0; epoch < 3; ++epoch) {
    const auto batch = loader.next().value();
    const auto seen = std::get<0>(batch.sample_id.sort());
    EXPECT_TENSOR_EQUAL(seen, torch::tensor({1, 1, 2, 3, 5, 5, 6, 7, 8}, torch::kLong));
    const auto bad = loader.take_bad_samples();
    EXPECT_EQ(bad.size(), epoch == 0 ? 2U : 0U);
    for (const auto& sample : bad) {
      EXPECT_EQ(sample.path, folder.dataset().path(sample.sample));
      EXPECT_NE(sample.reason.find("expected an image"), std::string::npos);
      EXPECT_EQ(sample.epoch, 0);
    }
  }
  EXPECT_FALSE(loader.next().has_value());
}

TEST(Loader, TheReplacementIsCroppedAfresh) {
  const FolderOfPictures folder(3, {0});
  auto options = small();
  options.batch_size = 3;
  options.data.max_bad_share = 0.5;
  const auto batch = MultiCropLoader(folder.dataset(), options).next().value();
  std::vector<int64_t> twice;
  for (int64_t i = 0; i < 3; ++i) {
    if (batch.sample_id[i].item<int64_t>() == 1) twice.push_back(i);
  }
  ASSERT_EQ(twice.size(), 2U);
  EXPECT_FALSE(torch::equal(batch.global[twice[0]], batch.global[twice[1]]));
}

TEST(Loader, MoreBadImagesThanAllowedEndTheRun) {
  const FolderOfPictures folder(9, {0, 4});
  auto options = small();
  options.batch_size = 9;
  options.data.max_bad_share = 0.2;
  MultiCropLoader loader(folder.dataset(), options);
  try {
    loader.next();
    FAIL();
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("data.max_bad_share"), std::string::npos);
  }
}

// One percent of 120 images would be one.
TEST(Loader, TenBadImagesAreAlwaysAllowed) {
  std::vector<int> bad{0, 11, 22, 33, 44, 55, 66, 77, 88, 99};
  const FolderOfPictures ten(120, bad);
  auto options = small();
  options.batch_size = 120;
  MultiCropLoader tolerant(ten.dataset(), options);
  EXPECT_TRUE(tolerant.next().has_value());
  EXPECT_EQ(tolerant.take_bad_samples().size(), 10U);
  options.data.max_bad_share = 0;
  EXPECT_THROW(MultiCropLoader(ten.dataset(), options).next(), DataError);
  bad.push_back(110);
  options.data.max_bad_share = 0.01;
  const FolderOfPictures eleven(120, bad);
  EXPECT_THROW(MultiCropLoader(eleven.dataset(), options).next(), DataError);
}

TEST(Loader, WhatOtherRanksFoundCountsTowardTheLimit) {
  const FolderOfPictures folder(9, {0, 4});
  auto options = small();
  options.batch_size = 3;
  options.data.max_bad_share = 0.25;
  MultiCropLoader loader(folder.dataset(), options);
  loader.add_bad_samples({0, 4});  // those that are bad: found again they count once
  for (int step = 0; step < 3; ++step) EXPECT_TRUE(loader.next().has_value());
  EXPECT_TRUE(loader.take_bad_samples().empty());
  loader.add_bad_samples({8});
  EXPECT_THROW(loader.next(), DataError);
}

TEST(Loader, NoReadableImageIsAnErrorWhateverTheShare) {
  const FolderOfPictures folder(4, {0, 1, 2, 3});
  auto options = small();
  options.data.max_bad_share = 1;
  MultiCropLoader loader(folder.dataset(), options);
  EXPECT_THROW(loader.next(), DataError);
  EXPECT_THROW(loader.next(), DataError);
}

TEST(Loader, StopsAtOnceWhenDropped) {
  const FolderOfPictures folder(64);
  auto options = small();
  options.num_epochs = 1000;
  for (int i = 0; i < 5; ++i) {
    MultiCropLoader loader(folder.dataset(), options);
    if (i > 0) loader.next();
  }
}

TEST(Loader, RefusesABatchLargerThanTheDataSet) {
  const FolderOfPictures folder(3);
  EXPECT_THROW(MultiCropLoader(folder.dataset(), small()), DataError);
}

}  // namespace
}  // namespace ibot::data
