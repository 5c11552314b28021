#include "ibot/image/eval_transform.h"

#include <algorithm>
#include <cmath>

#include "ibot/base/error.h"

namespace ibot::data {
namespace {

int64_t central_offset(int64_t size, int64_t crop) {
  // Half to even, as Python's round() in torchvision.
  return static_cast<int64_t>(std::nearbyint(static_cast<double>(size - crop) / 2.0));
}

}  // namespace

void eval_transform(const Image& image, const EvalTransformOptions& options, CropView out) {
  const int64_t shorter = std::min(image.height(), image.width());
  // 0: not resized, only cropped.
  const int64_t resized = options.resize_size > 0 ? options.resize_size : shorter;
  IBOT_CHECK(options.crop_size > 0 && options.crop_size <= resized,
             "eval_transform: expected a crop of at most ", resized, " pixels, got ",
             options.crop_size);
  IBOT_CHECK(out.height == options.crop_size && out.width == options.crop_size,
             "eval_transform: expected room for ", options.crop_size, " pixels, got ", out.height,
             " x ", out.width);
  ResizePlan plan;
  plan.filter = options.filter;
  plan.box = {0, 0, image.height(), image.width()};
  // The long side is truncated, as by torchvision.
  plan.height = resized * image.height() / shorter;
  plan.width = resized * image.width() / shorter;
  plan.top = central_offset(plan.height, options.crop_size);
  plan.left = central_offset(plan.width, options.crop_size);
  thread_local ColumnPlanes planes;
  planes.assign(image);
  resized_crop(planes, plan, out);
}

}  // namespace ibot::data
