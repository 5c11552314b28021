#include "ibot/batch/multi_crop_batch.h"

#include <gtest/gtest.h>

#include "ibot/base/error.h"
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

}  // namespace
}  // namespace ibot::batch
