// Options of what a run does when numbers go wrong.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "ibot/base/enum_names.h"

namespace ibot {
namespace train {

/// Of a loss or gradient that is not finite: train on; skip, roll back, end; end at once.
enum class NonfinitePolicy { kOff, kOn, kStrict };

/// Of a teacher that has collapsed.
enum class CollapsePolicy { kWarn, kStop };

}  // namespace train

template <>
struct EnumNames<train::NonfinitePolicy> {
  static constexpr std::array<std::pair<train::NonfinitePolicy, std::string_view>, 3> values{
      {{train::NonfinitePolicy::kOff, "off"},
       {train::NonfinitePolicy::kOn, "on"},
       {train::NonfinitePolicy::kStrict, "strict"}}};
};

template <>
struct EnumNames<train::CollapsePolicy> {
  static constexpr std::array<std::pair<train::CollapsePolicy, std::string_view>, 2> values{
      {{train::CollapsePolicy::kWarn, "warn"}, {train::CollapsePolicy::kStop, "stop"}}};
};

}  // namespace ibot
