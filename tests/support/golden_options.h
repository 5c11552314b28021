// Options that several groups of reference values describe alike.
#pragma once

#include <nlohmann/json.hpp>

#include "ibot/loss/loss_options.h"

namespace ibot::testing {

/// One number or a list of them.
inline std::vector<int64_t> integers_of(const nlohmann::json& value) {
  if (value.is_array()) return value.get<std::vector<int64_t>>();
  return {value.get<int64_t>()};
}

/// From the `config` of a case, which has the official arguments' names.
inline loss::LossOptions loss_options_of(const nlohmann::json& config) {
  return {.weight_cls = config["lambda1"],
          .weight_patch = config["lambda2"],
          .student_temp = config["student_temp"],
          .warmup_teacher_temp = config["warmup_teacher_temp"],
          .teacher_temp = config["teacher_temp"],
          .warmup_teacher_patch_temp = config["warmup_teacher_patch_temp"],
          .teacher_patch_temp = config["teacher_patch_temp"],
          .warmup_teacher_temp_epochs = config["warmup_teacher_temp_epochs"],
          .center_momentum = config["center_momentum"],
          .center_momentum_patch = config["center_momentum2"]};
}

}  // namespace ibot::testing
