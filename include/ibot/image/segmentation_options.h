// Options of the transforms of images with label maps.
#pragma once

#include <array>
#include <cstdint>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot::data {

struct SegmentationTransformOptions {
  int64_t crop_size = 512;
  int64_t resize_long = 2048;
  int64_t resize_short = 512;
  std::array<double, 2> scale{0.5, 2.0};
  double max_class_share = 0.75;
  double flip_prob = 0.5;
  bool photometric = true;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("crop_size", crop_size, "side of a training crop and of a test window in pixels");
    field("resize_long", resize_long, "an image is resized so that its long side is at most this");
    field("resize_short", resize_short, "... and its short side at most this");
    field("scale", scale, "[min, max] of the factor of both while training");
    field("max_class_share", max_class_share,
          "a training crop in which one class has this share is drawn again, up to ten times");
    field("flip_prob", flip_prob, "probability of a horizontal flip");
    field("photometric", photometric,
          "random brightness, contrast, saturation and hue while training");
  }

  void validate() const {
    check_option(crop_size >= 32, "crop_size", "expected 32 or more, got ", crop_size);
    check_option(resize_short > 0, "resize_short", "expected above 0, got ", resize_short);
    check_option(resize_long >= resize_short, "resize_long", "expected at least resize_short ",
                 resize_short, ", got ", resize_long);
    check_option(scale[0] > 0 && scale[0] <= scale[1], "scale", "expected 0 < min <= max, got [",
                 scale[0], ", ", scale[1], "]");
    check_option(max_class_share > 0 && max_class_share <= 1, "max_class_share",
                 "expected (0, 1], got ", max_class_share);
    check_option(flip_prob >= 0 && flip_prob <= 1, "flip_prob", "expected [0, 1], got ", flip_prob);
  }
};

}  // namespace ibot::data
