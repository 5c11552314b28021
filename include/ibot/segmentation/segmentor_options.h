// The choice of a segmentation head.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "ibot/base/enum_names.h"

namespace ibot {
namespace segmentation {

/// kUper: UPerNet, trained with its backbone; kLinear: one 1x1 convolution on a frozen backbone.
enum class HeadKind { kUper, kLinear };

}  // namespace segmentation

template <>
struct EnumNames<segmentation::HeadKind> {
  static constexpr std::array<std::pair<segmentation::HeadKind, std::string_view>, 2> values{
      {{segmentation::HeadKind::kUper, "upernet"}, {segmentation::HeadKind::kLinear, "linear"}}};
};

}  // namespace ibot
