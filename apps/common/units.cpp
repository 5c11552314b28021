#include "common/units.h"

#include <array>
#include <cstdio>

namespace ibot::apps {
namespace {

std::string scaled(double value, double factor, const char* format,
                   const std::array<const char*, 6>& units) {
  size_t unit = 0;
  for (; value >= factor && unit + 1 < units.size(); ++unit) value /= factor;
  char text[48];
  std::snprintf(text, sizeof text, unit == 0 ? "%.4g%s" : format, value, units[unit]);
  return text;
}

}  // namespace

std::string format_count(double value) {
  return scaled(value, 1000.0, "%.3g%s", {"", " k", " M", " G", " T", " P"});
}

std::string format_bytes(double bytes) {
  return scaled(bytes, 1024.0, "%.1f%s", {" B", " KiB", " MiB", " GiB", " TiB", " PiB"});
}

}  // namespace ibot::apps
