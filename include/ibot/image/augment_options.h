// Options of the random crops and their photometric changes.
#pragma once

#include <array>
#include <cstdint>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/batch/normalization_options.h"

namespace ibot::data {

struct AugmentOptions {
  int64_t global_size = 224;
  std::array<double, 2> global_scale{0.25, 1.0};
  int64_t global_crops = 2;
  int64_t local_size = 96;
  std::array<double, 2> local_scale{0.05, 0.25};
  int64_t local_crops = 10;
  double flip_prob = 0.5;
  double jitter_prob = 0.8;
  double brightness = 0.4;
  double contrast = 0.4;
  double saturation = 0.2;
  double hue = 0.1;
  double grayscale_prob = 0.2;
  double blur_prob_first = 1.0;
  double blur_prob_second = 0.1;
  double blur_prob_local = 0.5;
  double solarize_prob = 0.2;
  batch::Normalization normalization;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("global_size", global_size, "side of a global crop in pixels");
    field("global_scale", global_scale, "smallest and largest share of the image's area");
    field("global_crops", global_crops, "global crops an image");
    field("local_size", local_size, "side of a local crop in pixels");
    field("local_scale", local_scale, "smallest and largest share of the image's area");
    field("local_crops", local_crops, "local crops an image");
    field("flip_prob", flip_prob, "probability of a horizontal flip");
    field("jitter_prob", jitter_prob, "probability of color jitter");
    field("brightness", brightness, "factor drawn from [1 - x, 1 + x]");
    field("contrast", contrast, "factor drawn from [1 - x, 1 + x]");
    field("saturation", saturation, "factor drawn from [1 - x, 1 + x]");
    field("hue", hue, "shift drawn from [-x, x], as a share of the hue circle");
    field("grayscale_prob", grayscale_prob, "probability of conversion to grayscale");
    field("blur_prob_first", blur_prob_first, "probability of blur in the first global crop");
    field("blur_prob_second", blur_prob_second, "probability of blur in other global crops");
    field("blur_prob_local", blur_prob_local, "probability of blur in local crops");
    field("solarize_prob", solarize_prob, "probability of solarization in other global crops");
    normalization.fields(field);
  }

  void validate() const {
    check_option(global_size > 0, "global_size", "expected above 0, got ", global_size);
    check_option(global_crops >= 2, "global_crops", "expected 2 or more, got ", global_crops);
    check_option(local_size > 0, "local_size", "expected above 0, got ", local_size);
    check_option(local_crops >= 0, "local_crops", "expected 0 or more, got ", local_crops);
    for (const auto& [key, scale] :
         {std::pair{"global_scale", global_scale}, {"local_scale", local_scale}}) {
      check_option(scale[0] > 0 && scale[0] <= scale[1] && scale[1] <= 1, key,
                   "expected 0 < min <= max <= 1, got [", scale[0], ", ", scale[1], "]");
    }
    for (const auto& [key, prob] : {std::pair{"flip_prob", flip_prob},
                                    {"jitter_prob", jitter_prob},
                                    {"grayscale_prob", grayscale_prob},
                                    {"blur_prob_first", blur_prob_first},
                                    {"blur_prob_second", blur_prob_second},
                                    {"blur_prob_local", blur_prob_local},
                                    {"solarize_prob", solarize_prob}}) {
      check_option(prob >= 0 && prob <= 1, key, "expected [0, 1], got ", prob);
    }
    for (const auto& [key, strength] : {std::pair{"brightness", brightness},
                                        {"contrast", contrast},
                                        {"saturation", saturation}}) {
      check_option(strength >= 0 && strength <= 1, key, "expected [0, 1], got ", strength);
    }
    check_option(hue >= 0 && hue <= 0.5, "hue", "expected [0, 0.5], got ", hue);
    normalization.validate();
  }
};

}  // namespace ibot::data
