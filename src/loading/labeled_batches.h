// Labeled batches: room for them and what goes to a place of one.
#pragma once

#include <ATen/ops/empty.h>

#include <optional>

#include "ibot/base/error.h"
#include "ibot/batch/labeled_batch.h"
#include "ibot/codec/decode.h"
#include "ibot/data/dataset.h"
#include "ibot/image/crop_view.h"

namespace ibot::data {

/// `count` images of `side` pixels, uninitialized; page-locked where `pin`.
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

constexpr const char* kLeaveOut = "; remove it, or leave such images out by dataset.max_bad_share";

/// The image of a sample, whose number and label go to place `i`. Throws DataError where it does
/// not decode, with `remedy` at the end of its text.
inline Image labeled_image(const Dataset& dataset, int64_t sample, const DecodeOptions& options,
                           batch::LabeledBatch& batch, int64_t i, const char* remedy = kLeaveOut) {
  batch.sample_id.mutable_data_ptr<int64_t>()[i] = sample;
  batch.label.mutable_data_ptr<int64_t>()[i] = dataset.label(sample);
  try {
    return decode(dataset.read(sample), dataset.path(sample), options);
  } catch (const DataError& error) {
    throw DataError(concat(error.what(), remedy));
  }
}

/// The batch of a draft, if there is any.
template <class Draft>
std::optional<batch::LabeledBatch> batch_of(std::optional<Draft> draft) {
  if (!draft) return std::nullopt;
  return std::move(draft->batch);
}

}  // namespace ibot::data
