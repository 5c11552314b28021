// In-place operations on color and sharpness; each equals Pillow 12 and torchvision 0.26 on 8-bit
// RGB images bit for bit.
#pragma once

#include "ibot/image/crop_view.h"

namespace ibot::data {

/// Flips horizontally.
void flip_(CropView crop);

/// Blends with black: x becomes factor * x.
void adjust_brightness_(CropView crop, double factor);

/// Blends with the crop's mean gray value, rounded to an integer.
void adjust_contrast_(CropView crop, double factor);

/// Blends each pixel with its own gray value.
void adjust_saturation_(CropView crop, double factor);

/// Shifts the hue by a fraction of the circle in [-0.5, 0.5], in 8-bit HSV.
void adjust_hue_(CropView crop, double shift);

/// Copies the gray value into all channels.
void to_grayscale_(CropView crop);

/// Blurs by three box filters per direction, which approximate a Gaussian of standard deviation
/// `radius` > 0 pixels; edge pixels are replicated.
void gaussian_blur_(CropView crop, double radius);

/// Inverts values of at least `threshold`; 0 inverts all, 256 none.
void solarize_(CropView crop, int threshold = 128);

/// Adds `amount` to values below 128.
void solarize_add_(CropView crop, int amount);

/// Keeps the `bits` highest bits of each value, in [0, 8].
void posterize_(CropView crop, int bits);

/// Stretches the values of each channel linearly to [0, 255].
void auto_contrast_(CropView crop);

/// Equalizes the histogram of each channel.
void equalize_(CropView crop);

/// Blends with the crop smoothed over 3 x 3 pixels; edge pixels are unchanged.
void adjust_sharpness_(CropView crop, double factor);

}  // namespace ibot::data
