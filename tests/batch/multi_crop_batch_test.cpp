#include "ibot/batch/multi_crop_batch.h"

#include <gtest/gtest.h>

#include "ibot/base/error.h"
#include "support/expect_tensor.h"

namespace ibot::batch {
namespace {

TEST(MultiCropBatch, IndexesMaskedPatchesWithTheirViewsWeight) {
  MultiCropBatch batch;
  batch.mask = torch::tensor({{1, 0, 1}, {0, 0, 0}, {0, 1, 0}}, torch::kBool);
  index_masked_patches(batch);
  EXPECT_TENSOR_EQUAL(batch.masked, torch::tensor({0, 2, 7}, torch::kLong));
  EXPECT_TENSOR_EQUAL(batch.masked_weight, torch::tensor({0.5f, 0.5f, 1.0f}));
}

TEST(MultiCropBatch, NoMaskGivesNoRows) {
  MultiCropBatch batch;
  batch.mask = torch::zeros({2, 4}, torch::kBool);
  index_masked_patches(batch);
  EXPECT_EQ(batch.masked.size(0), 0);
  EXPECT_EQ(batch.masked_weight.size(0), 0);
}

TEST(Normalization, IsToTensorThenNormalize) {
  const auto pixels = torch::tensor({0, 128, 255}, torch::kByte).view({3, 1, 1});
  const auto expected = torch::tensor({(0.0 / 255 - 0.485) / 0.229, (128.0 / 255 - 0.456) / 0.224,
                                       (255.0 / 255 - 0.406) / 0.225})
                            .view({3, 1, 1});
  EXPECT_TENSOR_NEAR(normalized(pixels, {}), expected.to(torch::kFloat), {1e-6, 0.0});
  EXPECT_THROW(normalized(torch::zeros({3, 1, 1}), {}), Error);
}

}  // namespace
}  // namespace ibot::batch
