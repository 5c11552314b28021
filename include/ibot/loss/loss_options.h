// Options of the losses, their temperatures and centers.
#pragma once

#include <cstdint>

#include "ibot/base/enum_names.h"
#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot {
namespace loss {

/// How the teacher's patch scores become targets: centered and sharpened; sharpened alone; or the
/// most likely prototype alone. The last two are ablations: paper, appendix E.
enum class PatchTarget { kCentered, kSharpened, kHard };

struct LossOptions {
  double weight_cls = 1.0;
  double weight_patch = 1.0;
  double weight_koleo = 0.0;
  double student_temp = 0.1;
  double warmup_teacher_temp = 0.04;
  double teacher_temp = 0.07;
  double warmup_teacher_patch_temp = 0.04;
  double teacher_patch_temp = 0.07;
  int64_t warmup_teacher_temp_epochs = 30;
  double center_momentum = 0.9;
  double center_momentum_patch = 0.9;
  PatchTarget patch_target = PatchTarget::kCentered;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("weight_cls", weight_cls, "weight of the class-token term");
    field("weight_patch", weight_patch, "weight of the masked-patch term");
    field("weight_koleo", weight_koleo,
          "weight of the KoLeo term, which spreads the class tokens of a batch (DINOv2: 0.1)");
    field("student_temp", student_temp, "temperature of the student's softmax");
    field("warmup_teacher_temp", warmup_teacher_temp, "class-token temperature at epoch 0");
    field("teacher_temp", teacher_temp, "class-token temperature after the ramp");
    field("warmup_teacher_patch_temp", warmup_teacher_patch_temp, "patch temperature at epoch 0");
    field("teacher_patch_temp", teacher_patch_temp, "patch temperature after the ramp");
    field("warmup_teacher_temp_epochs", warmup_teacher_temp_epochs,
          "epochs of both linear ramps; the patch ramp begins at mask.start_epoch");
    field("center_momentum", center_momentum, "momentum of the class-token center");
    field("center_momentum_patch", center_momentum_patch, "momentum of the patch center");
    field("patch_target", patch_target,
          "teacher's patch distribution: centered | sharpened, no center | hard, its argmax");
  }

  void validate() const {
    check_option(weight_cls >= 0, "weight_cls", "expected 0 or more, got ", weight_cls);
    check_option(weight_patch >= 0, "weight_patch", "expected 0 or more, got ", weight_patch);
    check_option(weight_koleo >= 0, "weight_koleo", "expected 0 or more, got ", weight_koleo);
    check_option(weight_cls + weight_patch > 0, "weight_cls",
                 "expected a weight above 0 here or in loss.weight_patch, got 0 in both");
    for (const auto& [key, value] : {std::pair{"student_temp", student_temp},
                                     {"warmup_teacher_temp", warmup_teacher_temp},
                                     {"teacher_temp", teacher_temp},
                                     {"warmup_teacher_patch_temp", warmup_teacher_patch_temp},
                                     {"teacher_patch_temp", teacher_patch_temp}}) {
      check_option(value > 0, key, "expected above 0, got ", value);
    }
    check_option(warmup_teacher_temp_epochs >= 0, "warmup_teacher_temp_epochs",
                 "expected 0 or more, got ", warmup_teacher_temp_epochs);
    for (const auto& [key, value] : {std::pair{"center_momentum", center_momentum},
                                     {"center_momentum_patch", center_momentum_patch}}) {
      check_option(value >= 0 && value < 1, key, "expected [0, 1), got ", value);
    }
  }
};

}  // namespace loss

template <>
struct EnumNames<loss::PatchTarget> {
  static constexpr std::array<std::pair<loss::PatchTarget, std::string_view>, 3> values{
      {{loss::PatchTarget::kCentered, "centered"},
       {loss::PatchTarget::kSharpened, "sharpened"},
       {loss::PatchTarget::kHard, "hard"}}};
};

}  // namespace ibot
