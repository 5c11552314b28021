// Options of mask sampling and of patch targets.
#pragma once

#include <cstdint>
#include <vector>

#include "ibot/base/enum_names.h"
#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot {
namespace mask {

enum class MaskShape { kBlock, kRandom };

/// Views whose patches are masked. `kFirstGlobal` and `kAll` are ablations: paper, appendix B.
enum class MaskViews { kGlobal, kFirstGlobal, kAll };

/// Target of a student patch. kMasked: the teacher's output at the same, masked position. kPosition
/// and kFeature, the dense distillation of the paper's appendix E: every patch learns from a patch
/// of the other global crop, the nearest in the image or the most similar to the teacher.
enum class PatchPairing { kMasked, kPosition, kFeature };

}  // namespace mask

template <>
struct EnumNames<mask::MaskShape> {
  static constexpr std::array<std::pair<mask::MaskShape, std::string_view>, 2> values{
      {{mask::MaskShape::kBlock, "block"}, {mask::MaskShape::kRandom, "rand"}}};
};

template <>
struct EnumNames<mask::MaskViews> {
  static constexpr std::array<std::pair<mask::MaskViews, std::string_view>, 3> values{
      {{mask::MaskViews::kGlobal, "global"},
       {mask::MaskViews::kFirstGlobal, "first_global"},
       {mask::MaskViews::kAll, "all"}}};
};

template <>
struct EnumNames<mask::PatchPairing> {
  static constexpr std::array<std::pair<mask::PatchPairing, std::string_view>, 3> values{
      {{mask::PatchPairing::kMasked, "masked"},
       {mask::PatchPairing::kPosition, "position"},
       {mask::PatchPairing::kFeature, "feature"}}};
};

namespace mask {

struct MaskOptions {
  MaskShape shape = MaskShape::kBlock;
  std::vector<double> ratio{0.0, 0.3};
  std::vector<double> ratio_var{0.0, 0.2};
  int64_t start_epoch = 0;
  MaskViews views = MaskViews::kGlobal;
  PatchPairing pairs = PatchPairing::kMasked;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("shape", shape, "block: rectangles as in BEiT; rand: single patches");
    field("ratio", ratio,
          "masked fraction of a global view; from a list, each view draws one entry");
    field("ratio_var", ratio_var, "half-width of the uniform draw around each ratio");
    field("start_epoch", start_epoch, "number of initial epochs without masks");
    field("views", views, "crops that are masked: global | first_global | all");
    field("pairs", pairs,
          "pairs of patches in the loss: masked (same view) | position | feature (across global "
          "crops)");
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
    if (pairs == PatchPairing::kMasked) return;
    for (const double value : ratio) {
      check_option(value == 0, "ratio", "expected 0 with mask.pairs ", enum_name(pairs),
                   ", which compares patches that are not masked, got ", value);
    }
    check_option(views == MaskViews::kGlobal, "views", "expected global with mask.pairs ",
                 enum_name(pairs), ", got ", enum_name(views));
  }
};

}  // namespace mask

}  // namespace ibot
