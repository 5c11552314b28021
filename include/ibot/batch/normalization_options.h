// Pixel statistics.
#pragma once

#include <array>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot::batch {

/// Mean and standard deviation of each channel, of pixels in [0, 1]. Defaults: ImageNet.
struct Normalization {
  std::array<double, 3> mean{0.485, 0.456, 0.406};
  std::array<double, 3> std{0.229, 0.224, 0.225};

  template <class Visitor>
  void fields(Visitor&& field) {
    field("mean", mean, "of each channel, of pixels in [0, 1]");
    field("std", std, "of each channel, of pixels in [0, 1]");
  }

  void validate() const {
    for (const double value : std) check_option(value > 0, "std", "expected above 0, got ", value);
  }
};

}  // namespace ibot::batch
