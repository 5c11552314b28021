// The random changes of one crop.
#pragma once

#include <array>

#include "ibot/base/rng.h"
#include "ibot/image/augment_options.h"
#include "ibot/image/crop_view.h"
#include "ibot/image/resize.h"

namespace ibot::data {

/// Which of the three recipes a crop follows: they differ in size, blur and solarisation.
enum class View { kFirstGlobal, kOtherGlobal, kLocal };

/// Draws the box of a random resized crop: up to ten attempts at a share of the area within `scale`
/// and an aspect within [3/4, 4/3], else the largest central box of a permitted aspect.
///
/// Source: torchvision `RandomResizedCrop`.
Box sample_box(int64_t height, int64_t width, const std::array<double, 2>& scale, Rng& rng);

/// Widths of the ranges that colour factors are drawn from; 0 leaves that property alone.
struct JitterStrength {
  double brightness = 0.0;
  double contrast = 0.0;
  double saturation = 0.0;
  double hue = 0.0;
};

/// Changes brightness, contrast and saturation by factors within 1 -+ their strength and the hue by
/// a share of the circle within -+ its strength, in random order.
///
/// Source: torchvision `ColorJitter`.
void color_jitter_(CropView crop, const JitterStrength& strength, Rng& rng);

/// Where a crop was cut out of the image, and whether it was mirrored.
struct CropPlace {
  Box box;
  bool flip = false;
};

/// One crop with its colour jitter, grey, blur and solarisation, drawn from `rng`. Returns its
/// place.
///
/// Source: reference `main_ibot.py` (DataAugmentationiBOT).
CropPlace augmented_crop(const ColumnPlanes& image, View view, const AugmentOptions& options,
                         Rng& rng, CropView out);

}  // namespace ibot::data
