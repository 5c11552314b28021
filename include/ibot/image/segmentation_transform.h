// Images and label maps on their way to a network that labels every pixel.
#pragma once

#include <torch/types.h>

#include <functional>
#include <optional>

#include "ibot/base/rng.h"
#include "ibot/image/image.h"
#include "ibot/image/linear_resize.h"
#include "ibot/image/segmentation_options.h"

namespace ibot::data {

/// The label of pixels that count nowhere.
inline constexpr int64_t kIgnored = 255;

/// Random changes of color, made in this order: brightness, contrast if it comes first, saturation,
/// hue, contrast if it comes last. What is not set is left out.
struct PhotometricDraw {
  std::optional<double> brightness;  // added, in gray values
  std::optional<double> contrast;    // factor
  bool contrast_first = true;
  std::optional<double> saturation;  // factor
  std::optional<int> hue;            // added, in units of 2 degrees
};

/// Each change with probability 1/2.
PhotometricDraw draw_photometric(Rng& rng);

/// Values are cut off to 8 bits after every change; saturation and hue are those of OpenCV's 8-bit
/// HSV.
///
/// Source: mmsegmentation 0.12 (PhotoMetricDistortion).
void distort_(Image& image, const PhotometricDraw& draw);

/// The first corner drawn whose crop has at least two classes and none of `max_class_share` of its
/// labeled pixels; after ten the eleventh, whatever it has.
///
///   label  [H, W]   uint8
///   draw   the top left corner of a crop that lies within the map
///
/// Source: mmsegmentation 0.12 (RandomCrop).
Box choose_crop(const torch::Tensor& label, ImageSize crop, double max_class_share,
                const std::function<Box()>& draw);

/// A place in a batch.
///
///   image  [3, S, S]   uint8, filled from the top left corner
///   label  [S, S]      uint8, kIgnored where nothing is
struct SegmentationView {
  torch::Tensor image;
  torch::Tensor label;
};

/// Resizes, crops, flips and distorts; returns the size of what was filled.
///
///   label  [H, W]   uint8, of the image's size
///
/// Source: the reference's configurations; mmsegmentation 0.12.
ImageSize segmentation_transform(const Image& image, const torch::Tensor& label,
                                 const SegmentationTransformOptions& options, Rng& rng,
                                 const SegmentationView& out);

/// The planes of an image: [3, H, W], uint8.
torch::Tensor planes_of(const Image& image);

}  // namespace ibot::data
