// Changes of a crop's colours and sharpness, in place; each equals Pillow 12 and torchvision 0.26
// on 8-bit RGB images to the last bit.
#pragma once

#include "ibot/image/crop_view.h"

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

/// Inverts values from `threshold` on; 0 inverts all, 256 none.
void solarize_(CropView crop, int threshold = 128);

/// Adds `amount` to values below 128.
void solarize_add_(CropView crop, int amount);

/// Keeps the `bits` highest bits of each value, in [0, 8].
void posterize_(CropView crop, int bits);

/// Stretches the values of each channel to the whole of [0, 255].
void auto_contrast_(CropView crop);

/// Makes the values of each channel about equally frequent.
void equalize_(CropView crop);

/// Blends with the crop smoothed over 3 x 3 pixels; pixels at the edge stay.
void adjust_sharpness_(CropView crop, double factor);

}  // namespace ibot::data
