#include "ibot/image/training_transform.h"

#include "ibot/base/error.h"
#include "ibot/image/augment.h"
#include "ibot/image/rand_augment.h"

namespace ibot::data {

void training_transform(const Image& image, const TrainingTransformOptions& options, Rng& rng,
                        CropView out) {
  IBOT_CHECK(out.height == options.size && out.width == options.size,
             "training_transform: expected room for ", options.size, " pixels, got ", out.height,
             " x ", out.width);
  ResizePlan plan;
  plan.filter = options.filter;
  plan.height = out.height;
  plan.width = out.width;
  plan.box = sample_box(image.height(), image.width(), options.scale, rng);
  plan.flip = rng.uniform() < options.flip_prob;
  // Reused per thread, see multi_crop.
  thread_local ColumnPlanes planes;
  planes.assign(image);
  resized_crop(planes, plan, out);
  // timm uses the jitter only where there is no RandAugment.
  if (options.rand_operations > 0) {
    rand_augment_(out, options, rng);
  } else if (options.color_jitter > 0) {
    const double strength = options.color_jitter;
    // Without hue.
    color_jitter_(out, {.brightness = strength, .contrast = strength, .saturation = strength}, rng);
  }
}

}  // namespace ibot::data
