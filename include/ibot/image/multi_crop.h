// All crops of one image.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ibot/image/augment.h"
#include "ibot/image/augment_options.h"
#include "ibot/image/crop_view.h"
#include "ibot/image/image.h"

namespace ibot::data {

/// Key of the random numbers of a sample.
struct SampleKey {
  uint64_t seed = 0;
  uint64_t epoch = 0;
  uint64_t sample = 0;
};

/// Fills one view per crop, global ones first: crop i is drawn from stream `kCrop + i` of the key.
///
///   crops     global_crops views of global_size, then local_crops views of local_size
///   returns   the place of each crop in the image
///
/// Throws Error if number or size of the views differ from the options.
std::vector<CropPlace> multi_crop(const Image& image, const AugmentOptions& options,
                                  const SampleKey& key, std::span<const CropView> crops);

}  // namespace ibot::data
