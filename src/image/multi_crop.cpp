#include "ibot/image/multi_crop.h"

#include "ibot/base/error.h"
#include "ibot/base/rng.h"

namespace ibot::data {

std::vector<CropPlace> multi_crop(const Image& image, const AugmentOptions& options,
                                  const SampleKey& key, std::span<const CropView> crops) {
  const int64_t count = options.global_crops + options.local_crops;
  IBOT_CHECK(static_cast<int64_t>(crops.size()) == count, "multi_crop: expected ", count,
             " crops, got ", crops.size());
  // Kept between calls: one image per thread, so that workers do not allocate per sample.
  thread_local ColumnPlanes planes;
  planes.assign(image);
  std::vector<CropPlace> places;
  for (int64_t i = 0; i < count; ++i) {
    const bool global = i < options.global_crops;
    const int64_t size = global ? options.global_size : options.local_size;
    IBOT_CHECK(crops[i].height == size && crops[i].width == size, "multi_crop: expected crop ", i,
               " of ", size, " pixels, got ", crops[i].height, " x ", crops[i].width);
    const View view = i == 0 ? View::kFirstGlobal : global ? View::kOtherGlobal : View::kLocal;
    // A stream for each crop: more crops leave the first ones as they are.
    Rng rng(key.seed, key.epoch, key.sample, kCrop + static_cast<uint32_t>(i));
    places.push_back(augmented_crop(planes, view, options, rng, crops[i]));
  }
  return places;
}

}  // namespace ibot::data
