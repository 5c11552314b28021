// The choice of a precision.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "ibot/base/enum_names.h"

namespace ibot {
namespace optim {

/// Of matrix products; parameters, losses and moments are float32 in all of them. kAuto: what the
/// device is fast in, see resolved() in ibot/optim/autocast.h.
enum class Precision { kFp32, kFp16, kBf16, kAuto };

/// Description of keys with such a value.
constexpr const char* kPrecisionText =
    "data type of matrix products: auto | fp32 | fp16 | bf16; auto: bf16 where the device has "
    "units for it, otherwise fp16 on a GPU and fp32 on a CPU; fp16 needs a GPU";

}  // namespace optim

template <>
struct EnumNames<optim::Precision> {
  static constexpr std::array<std::pair<optim::Precision, std::string_view>, 4> values{
      {{optim::Precision::kAuto, "auto"},
       {optim::Precision::kFp32, "fp32"},
       {optim::Precision::kFp16, "fp16"},
       {optim::Precision::kBf16, "bf16"}}};
};

}  // namespace ibot
