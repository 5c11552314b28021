// Augmentation of one crop.
#pragma once

#include <array>

#include "ibot/base/rng.h"
#include "ibot/image/augment_options.h"
#include "ibot/image/crop_view.h"
#include "ibot/image/resize.h"

namespace ibot::data {

/// The recipe of a crop: the three differ in size, blur and solarization.
enum class View { kFirstGlobal, kOtherGlobal, kLocal };

/// Draws the box of a random resized crop: up to ten attempts at an area fraction within `scale`
/// and an aspect ratio within [3/4, 4/3], otherwise the largest central box of a permitted aspect
/// ratio.
///
/// Source: torchvision `RandomResizedCrop`.
Box sample_box(int64_t height, int64_t width, const std::array<double, 2>& scale, Rng& rng);

/// Half-widths of the ranges of color factors; 0 leaves that property unchanged.
struct JitterStrength {
  double brightness = 0.0;
  double contrast = 0.0;
  double saturation = 0.0;
  double hue = 0.0;
};

/// Scales brightness, contrast and saturation by factors drawn from [max(0, 1 - s), 1 + s] and
/// shifts the hue by a fraction of the circle drawn from [-s, s], with s the strength of each, in
/// random order.
///
/// Source: torchvision `ColorJitter`.
void color_jitter_(CropView crop, const JitterStrength& strength, Rng& rng);

/// The box of a crop within the image, and whether the crop was flipped.
struct CropPlace {
  Box box;
  bool flip = false;
};

/// One crop with its color jitter, grayscale, blur and solarization, drawn from `rng`. Returns its
/// place.
///
/// Source: reference `main_ibot.py` (DataAugmentationiBOT).
CropPlace augmented_crop(const ColumnPlanes& image, View view, const AugmentOptions& options,
                         Rng& rng, CropView out);

}  // namespace ibot::data
