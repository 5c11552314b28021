// Options of what changes from step to step.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "ibot/base/enum_names.h"
#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot {
namespace optim {

/// How a learning rate that moves with epochs falls: half a cosine, a hyperbolic tangent, by steps.
enum class LrCurve { kCosine, kTanh, kStep };

struct ScheduleOptions {
  int64_t warmup_epochs = 10;
  double momentum_teacher = 0.996;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("warmup_epochs", warmup_epochs, "epochs over which the learning rate rises from 0");
    field("momentum_teacher", momentum_teacher,
          "weight of the teacher in its moving average at the first step; a cosine brings it to 1");
  }

  void validate() const {
    check_option(warmup_epochs >= 0, "warmup_epochs", "expected 0 or more, got ", warmup_epochs);
    check_option(momentum_teacher >= 0 && momentum_teacher <= 1, "momentum_teacher",
                 "expected [0, 1], got ", momentum_teacher);
  }
};

}  // namespace optim

template <>
struct EnumNames<optim::LrCurve> {
  static constexpr std::array<std::pair<optim::LrCurve, std::string_view>, 3> values{
      {{optim::LrCurve::kCosine, "cosine"},
       {optim::LrCurve::kTanh, "tanh"},
       {optim::LrCurve::kStep, "step"}}};
};

}  // namespace ibot
