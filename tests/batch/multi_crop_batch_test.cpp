#include "ibot/batch/multi_crop_batch.h"

#include <gtest/gtest.h>

#include "ibot/base/error.h"
#include "ibot/batch/synthetic_source.h"
#include "support/expect_tensor.h"

namespace ibot::batch {
namespace {

TEST(Normalization, IsToTensorThenNormalize) {
  const auto pixels = torch::tensor({0, 128, 255}, torch::kByte).view({3, 1, 1});
  const auto expected = torch::tensor({(0.0 / 255 - 0.485) / 0.229, (128.0 / 255 - 0.456) / 0.224,
                                       (255.0 / 255 - 0.406) / 0.225})
                            .view({3, 1, 1});
  EXPECT_TENSOR_NEAR(normalized(pixels, {}), expected.to(torch::kFloat), {1e-6, 0.0});
  EXPECT_THROW(normalized(torch::zeros({3, 1, 1}), {}), Error);
}

/// The patches of one image's pairs, each as (crop, patch) of student and teacher and a weight.
std::vector<std::vector<double>> pairs_of_image(const MultiCropBatch& batch, int64_t image) {
  const auto images = batch.sample_id.size(0);
  const auto student =
      batch.pairs.student_local.defined()
          ? torch::cat({batch.pairs.student, batch.pairs.student_local + batch.mask.numel()})
          : batch.pairs.student;
  const auto place = [&](int64_t index) -> std::vector<double> {
    const bool local = index >= batch.mask.numel();
    const auto patches = (local ? batch.local_mask : batch.mask).size(1);
    const auto row = (index - (local ? batch.mask.numel() : 0)) / patches;
    const auto crop = row / images + (local ? batch.mask.size(0) / images : 0);
    return {static_cast<double>(row % images), static_cast<double>(crop),
            static_cast<double>(index % patches)};
  };
  std::vector<std::vector<double>> pairs;
  for (int64_t i = 0; i < student.size(0); ++i) {
    auto pair = place(student[i].item<int64_t>());
    const auto teacher = place(batch.pairs.teacher[i].item<int64_t>());
    EXPECT_EQ(pair[0], teacher[0]);
    if (pair[0] != static_cast<double>(image)) continue;
    pair.insert(pair.end(), teacher.begin() + 1, teacher.end());
    pair.push_back(batch.pairs.weight[i].item<double>());
    pairs.emplace_back(pair.begin() + 1, pair.end());
  }
  return pairs;
}

TEST(Split, KeepsEachImagesCropsMasksAndPairs) {
  for (const auto pairing : {mask::PatchPairing::kMasked, mask::PatchPairing::kPosition}) {
    SyntheticOptions options{.images = 6,
                             .global_size = 8,
                             .local_crops = 3,
                             .local_size = 4,
                             .mask = {},
                             .grid = {4, 4},
                             .local_grid = {2, 2},
                             .seed = 1};
    options.mask.pairs = pairing;
    options.mask.ratio = {0.5};
    options.mask.ratio_var = {0.0};
    if (pairing == mask::PatchPairing::kMasked) options.mask.views = mask::MaskViews::kAll;
    const auto whole = *SyntheticSource(options).next();
    const auto parts = split(whole, 3);
    ASSERT_EQ(parts.size(), 3u);
    for (int64_t image = 0; image < 6; ++image) {
      const auto& part = parts[static_cast<size_t>(image / 2)];
      const auto place = image % 2;
      EXPECT_EQ(part.sample_id[place].item<int64_t>(), whole.sample_id[image].item<int64_t>());
      const auto rows = [](const torch::Tensor& crops, int64_t images, int64_t i) {
        return crops.unflatten(0, {-1, images}).select(1, i);
      };
      EXPECT_TENSOR_EQUAL(rows(part.global, 2, place), rows(whole.global, 6, image));
      EXPECT_TENSOR_EQUAL(rows(part.local, 2, place), rows(whole.local, 6, image));
      EXPECT_TENSOR_EQUAL(rows(part.mask, 2, place), rows(whole.mask, 6, image));
      EXPECT_TENSOR_EQUAL(rows(part.crop_box, 2, place), rows(whole.crop_box, 6, image));
      EXPECT_EQ(part.pairs.views * 3, whole.pairs.views);
      EXPECT_EQ(pairs_of_image(part, place), pairs_of_image(whole, image));
      EXPECT_FALSE(pairs_of_image(part, place).empty());
    }
  }
  SyntheticOptions options{.images = 6, .global_size = 8, .mask = {}, .grid = {4, 4}};
  EXPECT_THROW(split(*SyntheticSource(options).next(), 4), Error);
}

}  // namespace
}  // namespace ibot::batch
