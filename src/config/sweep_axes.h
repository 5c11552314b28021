// What varies in a sweep.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/document.h"
#include "ibot/config/config_file.h"
#include "ibot/config/section.h"

namespace ibot::config {

/// Keys that vary together. Each choice has one value per key, as written by write_value().
struct SweepAxis {
  std::vector<std::string> keys;
  std::vector<std::vector<std::string>> choices;
  std::string origin;
};

/// A key whose values are drawn between two numbers, evenly or evenly in their logarithm.
struct SweepRange {
  std::string key;
  bool logarithmic = false;
  double low = 0.0;
  double high = 0.0;
  std::string origin;
};

struct SweepAxes {
  std::vector<SweepAxis> listed;
  std::vector<SweepRange> drawn;
  std::optional<int64_t> draws;
  int64_t seed = 0;
};

/// The sweep of a file's mapping; `file` is its name.
SweepAxes axes_of(const Sections& scratch, const Node& sweep, const std::string& file);

/// Moves the overrides that describe a sweep from `overrides` to `axes`. An override of a key takes
/// the place of an axis of that key alone.
void take_overrides(const Sections& scratch, std::vector<std::string>& overrides, SweepAxes& axes);

/// The draws of all ranges as one axis; without choices if there are no ranges.
SweepAxis drawn_axis(const Sections& scratch, const SweepAxes& axes);

}  // namespace ibot::config
