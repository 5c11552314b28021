// Changes of a crop's colours and sharpness, in place; each equals Pillow 12 and torchvision 0.26
// on 8-bit RGB images to the last bit.
#pragma once

#include "ibot/data/crop_view.h"

namespace ibot::data {

/// Mirrors left and right.
void flip_(CropView crop);

/// Blends with black: x becomes factor * x.
void adjust_brightness_(CropView crop, double factor);

/// Blends with the crop's mean grey value, rounded to an integer.
void adjust_contrast_(CropView crop, double factor);

/// Blends each pixel with its own grey value.
void adjust_saturation_(CropView crop, double factor);

/// Turns the hue by `shift` of the whole circle, in [-0.5, 0.5], through 8-bit HSV.
void adjust_hue_(CropView crop, double shift);

/// Copies the grey value into all channels.
void to_grayscale_(CropView crop);

/// Blurs by three box filters a direction, which approximate a Gaussian of deviation `radius` > 0
/// pixels; pixels beyond the edge repeat it.
void gaussian_blur_(CropView crop, double radius);

/// Inverts values from `threshold` on.
void solarize_(CropView crop, int threshold = 128);

}  // namespace ibot::data
