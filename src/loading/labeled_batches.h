// Room for labelled batches.
#pragma once

#include <ATen/ops/empty.h>

#include "ibot/batch/labeled_batch.h"
#include "ibot/image/crop_view.h"

namespace ibot::data {

/// `count` images of `side` pixels, uninitialised; page-locked where `pin`.
inline batch::LabeledBatch empty_labeled_batch(int64_t count, int64_t side, bool pin) {
  const auto empty = [&](at::IntArrayRef shape, at::ScalarType type) {
    return at::empty(shape, at::TensorOptions(type).pinned_memory(pin));
  };
  return {empty({count, 3, side, side}, at::kByte), empty({count}, at::kLong),
          empty({count}, at::kLong)};
}

/// The pixels of image `i`.
inline CropView image_view(batch::LabeledBatch& batch, int64_t i) {
  const int64_t height = batch.image.size(2);
  const int64_t width = batch.image.size(3);
  return {batch.image.mutable_data_ptr<uint8_t>() + i * 3 * height * width, height, width};
}

}  // namespace ibot::data
