// Options of mask sampling.
#pragma once

#include <cstdint>
#include <vector>

#include "ibot/base/enum_names.h"
#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot {
namespace mask {

enum class MaskShape { kBlock, kRandom };

struct MaskOptions {
  MaskShape shape = MaskShape::kBlock;
  std::vector<double> ratio{0.0, 0.3};
  std::vector<double> ratio_var{0.0, 0.2};
  int64_t start_epoch = 0;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("shape", shape, "block: rectangles as in BEiT; rand: single patches");
    field("ratio", ratio, "masked fraction of a global view; of several, each view draws one");
    field("ratio_var", ratio_var, "half-width of the uniform draw around each ratio");
    field("start_epoch", start_epoch, "epochs without masks at the start");
  }

  void validate() const {
    check_option(!ratio.empty(), "ratio", "expected at least one number");
    check_option(ratio_var.size() == 1 || ratio_var.size() == ratio.size(), "ratio_var",
                 "expected one number, or one for each of the ", ratio.size(), " ratios, got ",
                 ratio_var.size());
    for (size_t i = 0; i < ratio.size(); ++i) {
      const double var = ratio_var[ratio_var.size() == 1 ? 0 : i];
      check_option(ratio[i] >= 0 && ratio[i] < 1, "ratio", "expected [0, 1), got ", ratio[i]);
      check_option(var >= 0 && var <= ratio[i], "ratio_var", "expected [0, ratio], got ", var,
                   " for ratio ", ratio[i]);
      check_option(ratio[i] + var <= 1, "ratio_var",
                   "expected ratio + ratio_var of at most 1, got ", ratio[i] + var);
    }
    check_option(start_epoch >= 0, "start_epoch", "expected 0 or more, got ", start_epoch);
  }
};

}  // namespace mask

template <>
struct EnumNames<mask::MaskShape> {
  static constexpr std::array<std::pair<mask::MaskShape, std::string_view>, 2> values{
      {{mask::MaskShape::kBlock, "block"}, {mask::MaskShape::kRandom, "rand"}}};
};

}  // namespace ibot
