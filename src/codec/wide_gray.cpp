#include "codec/wide_gray.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>

#include "ibot/base/error.h"

namespace ibot::data {
namespace {

template <class Sample>
bool is_number(Sample sample) {
  if constexpr (std::is_floating_point_v<Sample>) return !std::isnan(sample);
  return true;
}

/// Pillow's mode I is signed: unsigned samples of 2^31 and above become negative. NaN, whose
/// conversion is undefined in C, is 0 in Pillow's builds.
template <class Sample>
uint8_t clipped(Sample sample) {
  if constexpr (std::is_same_v<Sample, uint32_t>) return clipped(static_cast<int32_t>(sample));
  if (!(sample > Sample{0})) return 0;
  return sample >= Sample{255} ? 255 : static_cast<uint8_t>(sample);
}

/// The values that map to 0 and 255.
struct Limits {
  double low = 0;
  double high = 0;
};

template <class Sample>
Limits type_limits(int bits) {
  if constexpr (std::is_floating_point_v<Sample>) return {0.0, 1.0};
  if constexpr (std::is_unsigned_v<Sample>) return {0.0, std::exp2(bits) - 1.0};
  return {-std::exp2(bits - 1), std::exp2(bits - 1) - 1.0};
}

/// Range of the finite samples.
template <class Sample>
Limits data_limits(std::span<const Sample> samples) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  Limits limits{kInfinite, -kInfinite};
  for (const auto sample : samples) {
    const auto value = static_cast<double>(sample);
    if (!std::isfinite(value)) continue;
    limits.low = std::min(limits.low, value);
    limits.high = std::max(limits.high, value);
  }
  return limits;
}

uint8_t scaled(double value, const Limits& limits) {
  const double share = (value - limits.low) / (limits.high - limits.low);
  // Negated so that NaN, from the sample or from 0 / 0 in a constant image, becomes 0.
  if (!(share > 0.0)) return 0;
  return static_cast<uint8_t>(std::min(share, 1.0) * 255.0 + 0.5);
}

std::string percent(int64_t count, int64_t total) {
  if (100 * count < total) return "under 1 %";
  return concat(100 * count / total, " %");
}

/// Describes what clipping loses; empty if nothing.
template <class Sample>
std::string notice_of_clipping(std::span<const Sample> samples, int bits) {
  int64_t above = 0;
  int64_t below = 0;
  int64_t fractions = 0;
  int64_t above_one = 0;
  int64_t no_numbers = 0;
  for (const auto sample : samples) {
    above += sample > Sample{255} ? 1 : 0;
    below += sample < Sample{0} ? 1 : 0;
    no_numbers += is_number(sample) ? 0 : 1;
    above_one += sample > Sample{1} ? 1 : 0;
    if constexpr (std::is_floating_point_v<Sample>) fractions += sample > 0 && sample < 1 ? 1 : 0;
  }
  std::string losses;
  const auto add = [&](int64_t count, const char* what) {
    if (count == 0) return;
    losses += (losses.empty() ? "" : ", ") + percent(count, static_cast<int64_t>(samples.size())) +
              " of pixels " + what;
  };
  add(above, "above 255");
  add(below, "below 0");
  if (above_one == 0) add(fractions, "between 0 and 1, which become 0");
  add(no_numbers, "not a number");
  if (losses.empty()) return {};
  return concat("gray of ", bits,
                std::is_floating_point_v<Sample> ? "-bit floats: " : " bits: ", losses);
}

}  // namespace

template <class Sample>
CheckedImage image_of_wide_gray(std::span<const Sample> samples, int64_t height, int64_t width,
                                int bits, GrayRange range) {
  CheckedImage checked{Image(height, width), {}, {}};
  const bool clip = range == GrayRange::kClip;
  const Limits limits = range == GrayRange::kType   ? type_limits<Sample>(bits)
                        : range == GrayRange::kData ? data_limits(samples)
                                                    : Limits{};
  uint8_t* to = checked.image.row(0);
  for (const auto sample : samples) {
    const uint8_t value = clip ? clipped(sample) : scaled(static_cast<double>(sample), limits);
    for (int c = 0; c < 3; ++c) *to++ = value;
  }
  if (clip) checked.notice = notice_of_clipping(samples, bits);
  return checked;
}

template CheckedImage image_of_wide_gray(std::span<const uint16_t>, int64_t, int64_t, int,
                                         GrayRange);
template CheckedImage image_of_wide_gray(std::span<const int16_t>, int64_t, int64_t, int,
                                         GrayRange);
template CheckedImage image_of_wide_gray(std::span<const uint32_t>, int64_t, int64_t, int,
                                         GrayRange);
template CheckedImage image_of_wide_gray(std::span<const int32_t>, int64_t, int64_t, int,
                                         GrayRange);
template CheckedImage image_of_wide_gray(std::span<const float>, int64_t, int64_t, int, GrayRange);

}  // namespace ibot::data
