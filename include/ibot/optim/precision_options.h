// The choice of a precision.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "ibot/base/enum_names.h"

namespace ibot {
namespace optim {

/// Of matrix products; parameters, losses and moments are float32 in all of them.
enum class Precision { kFp32, kFp16, kBf16 };

}  // namespace optim

template <>
struct EnumNames<optim::Precision> {
  static constexpr std::array<std::pair<optim::Precision, std::string_view>, 3> values{
      {{optim::Precision::kFp32, "fp32"},
       {optim::Precision::kFp16, "fp16"},
       {optim::Precision::kBf16, "bf16"}}};
};

}  // namespace ibot
