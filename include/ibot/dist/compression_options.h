// Data type of the gradient all-reduce.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "ibot/base/enum_names.h"

namespace ibot {
namespace dist {

/// kNone: float32. In half precision every rank's addition rounds.
enum class Compression { kNone, kFp16, kBf16 };

}  // namespace dist

template <>
struct EnumNames<dist::Compression> {
  static constexpr std::array<std::pair<dist::Compression, std::string_view>, 3> values{
      {{dist::Compression::kNone, "none"},
       {dist::Compression::kFp16, "fp16"},
       {dist::Compression::kBf16, "bf16"}}};
};

}  // namespace ibot
