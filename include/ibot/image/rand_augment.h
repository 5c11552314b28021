// RandAugment: random operations of a common magnitude.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "ibot/base/enum_names.h"
#include "ibot/base/rng.h"
#include "ibot/image/crop_view.h"
#include "ibot/image/training_options.h"

namespace ibot {
namespace data {

/// The fifteen operations of the "increasing" set, whose effect grows with the level.
enum class RandOperation {
  kAutoContrast,
  kEqualize,
  kInvert,
  kRotate,
  kPosterize,
  kSolarize,
  kSolarizeAdd,
  kColor,
  kContrast,
  kBrightness,
  kSharpness,
  kShearX,
  kShearY,
  kTranslateX,
  kTranslateY
};

/// Applies one operation. Pixels from outside the crop become (124, 116, 104).
///
///   level      strength in [0, 10]; at 9: 27 degrees, 1 bit kept, factors 0.19 or 1.81, shear 0.27
///              and so on
///   negative   opposite direction, or a factor below 1; ignored by operations that have neither
///
/// Equal to Pillow 12 and timm 1.0 bit for bit.
void rand_operation_(CropView crop, RandOperation operation, double level, bool negative);

/// Draws rand_operations operations with replacement; each is applied with probability 1/2, at a
/// level from N(rand_magnitude, rand_magnitude_std) clipped to [0, 10], with a random sign.
///
/// Source: Cubuk et al. 2020; timm's policy rand-m9-mstd0.5-inc1 with the default options.
void rand_augment_(CropView crop, const TrainingTransformOptions& options, Rng& rng);

}  // namespace data

template <>
struct EnumNames<data::RandOperation> {
  using Operation = data::RandOperation;
  static constexpr std::array<std::pair<Operation, std::string_view>, 15> values{
      {{Operation::kAutoContrast, "AutoContrast"},
       {Operation::kEqualize, "Equalize"},
       {Operation::kInvert, "Invert"},
       {Operation::kRotate, "Rotate"},
       {Operation::kPosterize, "PosterizeIncreasing"},
       {Operation::kSolarize, "SolarizeIncreasing"},
       {Operation::kSolarizeAdd, "SolarizeAdd"},
       {Operation::kColor, "ColorIncreasing"},
       {Operation::kContrast, "ContrastIncreasing"},
       {Operation::kBrightness, "BrightnessIncreasing"},
       {Operation::kSharpness, "SharpnessIncreasing"},
       {Operation::kShearX, "ShearX"},
       {Operation::kShearY, "ShearY"},
       {Operation::kTranslateX, "TranslateXRel"},
       {Operation::kTranslateY, "TranslateYRel"}}};
};

}  // namespace ibot
