// Options of erasing and mixing the images of a batch.
#pragma once

#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot::batch {

struct MixingOptions {
  double erase_prob = 0.25;
  double mixup = 0.8;
  double cutmix = 1.0;
  double mix_prob = 1.0;
  double switch_prob = 0.5;
  double label_smoothing = 0.1;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("erase_prob", erase_prob, "probability that a box of an image becomes noise");
    field("mixup", mixup, "alpha of the weights Beta(alpha, alpha) of mixup; 0: no mixup");
    field("cutmix", cutmix, "alpha of the areas Beta(alpha, alpha) of cutmix; 0: no cutmix");
    field("mix_prob", mix_prob, "probability that a batch is mixed at all");
    field("switch_prob", switch_prob, "probability of cutmix where both are on");
    field("label_smoothing", label_smoothing, "share of a target spread over all classes");
  }

  void validate() const {
    for (const auto& [key, value] : {std::pair{"erase_prob", erase_prob},
                                     {"mix_prob", mix_prob},
                                     {"switch_prob", switch_prob}}) {
      check_option(value >= 0 && value <= 1, key, "expected [0, 1], got ", value);
    }
    check_option(mixup >= 0, "mixup", "expected 0 or more, got ", mixup);
    check_option(cutmix >= 0, "cutmix", "expected 0 or more, got ", cutmix);
    check_option(label_smoothing >= 0 && label_smoothing < 1, "label_smoothing",
                 "expected [0, 1), got ", label_smoothing);
  }

  bool mixes() const { return mix_prob > 0 && (mixup > 0 || cutmix > 0); }
};

}  // namespace ibot::batch
