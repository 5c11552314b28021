// The choice of a resampling filter.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "ibot/base/enum_names.h"

namespace ibot {
namespace data {

enum class Filter { kBilinear, kBicubic, kLanczos };

}  // namespace data

template <>
struct EnumNames<data::Filter> {
  static constexpr std::array<std::pair<data::Filter, std::string_view>, 3> values{
      {{data::Filter::kBilinear, "bilinear"},
       {data::Filter::kBicubic, "bicubic"},
       {data::Filter::kLanczos, "lanczos"}}};
};

}  // namespace ibot
