// Options of the training augmentation of supervised evaluations.
#pragma once

#include <array>
#include <cstdint>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/image/filter_options.h"

namespace ibot::data {

struct TrainingTransformOptions {
  int64_t size = 0;
  std::array<double, 2> scale{0.08, 1.0};
  Filter filter = Filter::kBicubic;
  double flip_prob = 0.5;
  int64_t rand_operations = 2;
  double rand_magnitude = 9.0;
  double rand_magnitude_std = 0.5;
  double color_jitter = 0.4;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("size", size, "side of an image in pixels; 0: eval.crop_size, which a checkpoint tells");
    field("scale", scale, "[min, max] fraction of the image's area");
    field("filter", filter, "resampling filter: bilinear | bicubic | lanczos");
    field("flip_prob", flip_prob, "probability of a horizontal flip");
    field("rand_operations", rand_operations,
          "RandAugment operations, each applied with probability 1/2; 0: color jitter instead");
    field("rand_magnitude", rand_magnitude, "mean magnitude of an operation, in [0, 10]");
    field("rand_magnitude_std", rand_magnitude_std, "standard deviation of the magnitude");
    field("color_jitter", color_jitter,
          "without RandAugment: brightness, contrast and saturation factors drawn from [1 - x, 1 + "
          "x]");
  }

  void validate() const {
    check_option(size >= 0, "size", "expected 0 or more, got ", size);
    check_option(scale[0] > 0 && scale[0] <= scale[1] && scale[1] <= 1, "scale",
                 "expected 0 < min <= max <= 1, got [", scale[0], ", ", scale[1], "]");
    check_option(flip_prob >= 0 && flip_prob <= 1, "flip_prob", "expected [0, 1], got ", flip_prob);
    check_option(rand_operations >= 0, "rand_operations", "expected 0 or more, got ",
                 rand_operations);
    check_option(rand_magnitude >= 0 && rand_magnitude <= 10, "rand_magnitude",
                 "expected [0, 10], got ", rand_magnitude);
    check_option(rand_magnitude_std >= 0, "rand_magnitude_std", "expected 0 or more, got ",
                 rand_magnitude_std);
    check_option(color_jitter >= 0 && color_jitter <= 1, "color_jitter", "expected [0, 1], got ",
                 color_jitter);
  }
};

}  // namespace ibot::data
