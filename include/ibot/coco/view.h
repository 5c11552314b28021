// Training images of a detector: resizing, flipping and cropping them with their objects.
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "ibot/base/rng.h"
#include "ibot/coco/annotations.h"
#include "ibot/coco/view_options.h"
#include "ibot/image/image.h"
#include "ibot/image/resize.h"
#include "ibot/image/thumbnail.h"

namespace ibot::coco {

/// An image with its objects.
///
///   image   [H, W, 3]     uint8
///   boxes   [M, 4]        float32, x1, y1, x2, y2
///   labels  [M]           int64
///   masks   [M, H, W]     uint8, 0 or 1
struct View {
  torch::Tensor image;
  torch::Tensor boxes;
  torch::Tensor labels;
  torch::Tensor masks;

  data::ImageSize size() const { return {image.size(0), image.size(1)}; }
};

/// Whether an object is trained on: no crowd, not ignored, with a mask, its box within the image in
/// part, at least a pixel wide and high, and its area above 0.
///
/// Source: mmdetection 2.11, CocoDataset; objects without a mask are left out besides.
bool is_trained(const Object& object, const AnnotatedImage& image);

/// Throws DataError where an image is not of its annotated size.
void check_size(data::ImageSize size, const AnnotatedImage& annotated);

/// The trained objects of an image. Throws DataError where its size is not as annotated.
View view_of(const data::Image& image, const AnnotatedSet& set, int64_t number);

/// Factors by which boxes change in x, y, x, y, in float32.
torch::Tensor scale_factors(data::ImageSize from, data::ImageSize to);

/// Bilinear without antialiasing; masks by nearest pixel; boxes clipped to the image.
View resized(const View& view, data::ImageSize size);
View flipped(const View& view);
/// Objects of which nothing is left are dropped.
View cropped(const View& view, const data::Box& box);

/// A crop of random sides, `crop_sides` or the image's where that is less, at a random place.
///
/// Source: mmdetection 2.11, RandomCrop (absolute_range).
data::Box random_crop(data::ImageSize size, const ViewOptions& options, Rng& rng);

/// One random view: flipped or not, cropped or not, resized. A function of its arguments.
///
/// Source: reference `object_detection/configs` (AutoAugment with two policies).
View training_view(View view, const ViewOptions& options, Rng& rng);

}  // namespace ibot::coco
