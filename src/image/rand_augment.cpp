#include "ibot/image/rand_augment.h"

#include <algorithm>

#include "ibot/image/pixel_ops.h"
#include "ibot/image/warp.h"

namespace ibot::data {
namespace {

// timm's scale of levels; the fill color is ImageNet's mean.
constexpr double kHighestLevel = 10.0;
constexpr std::array<uint8_t, 3> kFill{124, 116, 104};

/// An amount proportional to the level, `highest` at level 10.
double amount(double level, double highest) { return level / kHighestLevel * highest; }

void shift_(CropView crop, double x, double y) { warp_(crop, {.x0 = x, .y0 = y}, kFill); }

}  // namespace

void rand_operation_(CropView crop, RandOperation operation, double level, bool negative) {
  const double sign = negative ? -1.0 : 1.0;
  // "Increasing" operations of timm: level 10 changes by 0.9, in either direction.
  const double factor = 1.0 + sign * amount(level, 0.9);
  switch (operation) {
    case RandOperation::kAutoContrast:
      return auto_contrast_(crop);
    case RandOperation::kEqualize:
      return equalize_(crop);
    case RandOperation::kInvert:
      return solarize_(crop, 0);  // inverts all values
    case RandOperation::kRotate:
      return warp_(crop, rotation(sign * amount(level, 30.0), crop.height, crop.width), kFill);
    // The higher the level, the fewer bits and the lower the threshold.
    case RandOperation::kPosterize:
      return posterize_(crop, 4 - static_cast<int>(amount(level, 4.0)));
    case RandOperation::kSolarize:
      return solarize_(crop, 256 - static_cast<int>(amount(level, 256.0)));
    case RandOperation::kSolarizeAdd:
      return solarize_add_(crop, static_cast<int>(amount(level, 110.0)));
    case RandOperation::kColor:
      return adjust_saturation_(crop, factor);
    case RandOperation::kContrast:
      return adjust_contrast_(crop, factor);
    case RandOperation::kBrightness:
      return adjust_brightness_(crop, factor);
    case RandOperation::kSharpness:
      return adjust_sharpness_(crop, factor);
    case RandOperation::kShearX:
      return warp_(crop, {.xy = sign * amount(level, 0.3)}, kFill);
    case RandOperation::kShearY:
      return warp_(crop, {.yx = sign * amount(level, 0.3)}, kFill);
    case RandOperation::kTranslateX:
      return shift_(crop, sign * amount(level, 0.45) * static_cast<double>(crop.width), 0.0);
    case RandOperation::kTranslateY:
      return shift_(crop, 0.0, sign * amount(level, 0.45) * static_cast<double>(crop.height));
  }
}

void rand_augment_(CropView crop, const TrainingTransformOptions& options, Rng& rng) {
  // timm draws all operations at once; here the draws interleave, with equal distribution.
  const auto& operations = EnumNames<RandOperation>::values;
  for (int64_t i = 0; i < options.rand_operations; ++i) {
    const auto operation = operations[rng.index(operations.size())].first;
    // timm applies each chosen operation with probability one half.
    if (rng.uniform() >= 0.5) continue;
    const double level = options.rand_magnitude + options.rand_magnitude_std * rng.normal();
    const bool negative = rng.uniform() < 0.5;
    rand_operation_(crop, operation, std::clamp(level, 0.0, kHighestLevel), negative);
  }
}

}  // namespace ibot::data
