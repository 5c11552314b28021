// How training images of a detector are changed.
#pragma once

#include <cstdint>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot::coco {

/// Defaults: those of the reference's configurations, after DETR.
struct ViewOptions {
  std::vector<int64_t> short_sides{480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800};
  int64_t long_side = 1333;
  std::vector<int64_t> crop_short_sides{400, 500, 600};
  std::vector<int64_t> crop_sides{384, 600};
  double crop_prob = 0.5;
  double flip_prob = 0.5;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("short_sides", short_sides, "short sides in pixels of which each view has one");
    field("long_side", long_side, "longest side of a view in pixels");
    field("crop_short_sides", crop_short_sides, "short sides of images before they are cropped");
    field("crop_sides", crop_sides, "shortest and longest side of a crop in pixels");
    field("crop_prob", crop_prob, "probability that a view is a crop");
    field("flip_prob", flip_prob, "probability of a horizontal flip");
  }

  void validate() const {
    check_option(!short_sides.empty(), "short_sides", "expected a length or more, got none");
    check_option(!crop_short_sides.empty(), "crop_short_sides",
                 "expected a length or more, got none");
    check_option(long_side > 0, "long_side", "expected above 0, got ", long_side);
    for (const auto side : short_sides) {
      check_option(side > 0 && side <= long_side, "short_sides",
                   "expected lengths up to long_side ", long_side, ", got ", side);
    }
    for (const auto side : crop_short_sides) {
      check_option(side > 0 && side <= long_side, "crop_short_sides",
                   "expected lengths up to long_side ", long_side, ", got ", side);
    }
    check_option(crop_sides.size() == 2 && crop_sides[0] > 0 && crop_sides[0] <= crop_sides[1],
                 "crop_sides", "expected two lengths above 0 in ascending order");
    for (const auto& [key, prob] : {std::pair{"crop_prob", crop_prob}, {"flip_prob", flip_prob}}) {
      check_option(prob >= 0 && prob <= 1, key, "expected [0, 1], got ", prob);
    }
  }
};

}  // namespace ibot::coco
