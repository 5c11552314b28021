// Options of erasing and mixing the images of a batch.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "ibot/base/enum_names.h"
#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot {
namespace batch {

/// What an erased box is filled with: noise of each pixel, one random color, or the mean color.
enum class EraseMode { kPixel, kRand, kConst };

/// What is mixed alike: a whole batch, two images with each other, or each image for itself.
enum class MixMode { kBatch, kPair, kElem };

struct MixingOptions {
  double erase_prob = 0.25;
  EraseMode erase_mode = EraseMode::kPixel;
  int64_t erase_count = 1;
  double mixup = 0.8;
  double cutmix = 1.0;
  std::vector<double> cutmix_minmax;
  double mix_prob = 1.0;
  double switch_prob = 0.5;
  MixMode mix_mode = MixMode::kBatch;
  double label_smoothing = 0.1;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("erase_prob", erase_prob, "probability that boxes of an image are erased");
    field("erase_mode", erase_mode,
          "erased pixels: pixel, normal noise | rand, one normal color a box | const, 0");
    field("erase_count", erase_count, "largest number of boxes an image, sharing the area");
    field("mixup", mixup, "alpha of the weights Beta(alpha, alpha) of mixup; 0: no mixup");
    field("cutmix", cutmix, "alpha of the areas Beta(alpha, alpha) of cutmix; 0: no cutmix");
    field(
        "cutmix_minmax", cutmix_minmax,
        "smallest and largest side of a cutmix box over the image's, instead of cutmix; []: none");
    field("mix_prob", mix_prob, "probability that a batch, pair or image is mixed at all");
    field("switch_prob", switch_prob, "probability of cutmix where both are on");
    field("mix_mode", mix_mode, "weights and boxes are drawn for each: batch | pair | elem");
    field("label_smoothing", label_smoothing, "share of a target spread over all classes");
  }

  void validate() const {
    for (const auto& [key, value] : {std::pair{"erase_prob", erase_prob},
                                     {"mix_prob", mix_prob},
                                     {"switch_prob", switch_prob}}) {
      check_option(value >= 0 && value <= 1, key, "expected [0, 1], got ", value);
    }
    check_option(erase_count > 0, "erase_count", "expected above 0, got ", erase_count);
    check_option(mixup >= 0, "mixup", "expected 0 or more, got ", mixup);
    check_option(cutmix >= 0, "cutmix", "expected 0 or more, got ", cutmix);
    const auto& sides = cutmix_minmax;
    check_option(sides.empty() || sides.size() == 2, "cutmix_minmax",
                 "expected [] or two numbers, got ", sides.size());
    check_option(sides.empty() || (sides[0] >= 0 && sides[0] < sides[1] && sides[1] <= 1),
                 "cutmix_minmax", "expected [a, b] with 0 <= a < b <= 1, got [",
                 sides.empty() ? 0 : sides[0], ", ", sides.empty() ? 0 : sides[1], "]");
    check_option(label_smoothing >= 0 && label_smoothing < 1, "label_smoothing",
                 "expected [0, 1), got ", label_smoothing);
  }

  bool cuts() const { return cutmix > 0 || !cutmix_minmax.empty(); }
  bool mixes() const { return mix_prob > 0 && (mixup > 0 || cuts()); }
};

}  // namespace batch

template <>
struct EnumNames<batch::EraseMode> {
  static constexpr std::array<std::pair<batch::EraseMode, std::string_view>, 3> values{
      {{batch::EraseMode::kPixel, "pixel"},
       {batch::EraseMode::kRand, "rand"},
       {batch::EraseMode::kConst, "const"}}};
};

template <>
struct EnumNames<batch::MixMode> {
  static constexpr std::array<std::pair<batch::MixMode, std::string_view>, 3> values{
      {{batch::MixMode::kBatch, "batch"},
       {batch::MixMode::kPair, "pair"},
       {batch::MixMode::kElem, "elem"}}};
};

}  // namespace ibot
