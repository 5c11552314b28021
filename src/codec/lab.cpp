#include "codec/lab.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace ibot::data {
namespace {

using Color = std::array<double, 3>;
using Color16 = std::array<int32_t, 3>;

// Nodes of the table along each axis, and intervals between them.
constexpr int kNodes = 33;
constexpr int kSteps = kNodes - 1;
constexpr Color kWhite{0.9642, 1.0, 0.8249};
// The largest XYZ in Little CMS's encoding.
constexpr double kLargest = 1.0 + 32767.0 / 32768.0;
// D50 XYZ to linear sRGB: Rec. 709 primaries, D65 white, adapted by Bradford's matrix.
constexpr std::array<Color, 3> kLinearOfXyz{
    {{3.134186364236819, -1.6172089589982757, -0.49069406400638405},
     {-0.9787485041906946, 1.9161300967735877, 0.0334333991599956},
     {0.07196392780224678, -0.22899387345320338, 1.4057537328964447}}};

/// Little CMS rounds to single precision between its stages.
double single(double value) { return static_cast<float>(value); }

/// Inverse of CIE's f(t): cubic, linear near black.
double from_lightness(double t) {
  return t > 24.0 / 116.0 ? t * t * t : 108.0 / 841.0 * (t - 16.0 / 116.0);
}

Color xyz_of_lab(double lightness, double a, double b) {
  const double y = (lightness + 16.0) / 116.0;
  const Color roots{y + 0.002 * a, y, y - 0.005 * b};
  Color xyz{};
  for (int i = 0; i < 3; ++i) xyz[i] = single(from_lightness(roots[i]) * kWhite[i] / kLargest);
  return xyz;
}

int32_t gamma_encoded(double linear) {
  const double value =
      linear <= 0.04045 / 12.92 ? 12.92 * linear : 1.055 * std::pow(linear, 1 / 2.4) - 0.055;
  return static_cast<int32_t>(std::clamp(std::floor(single(value) * 65535.0 + 0.5), 0.0, 65535.0));
}

/// The 16-bit color of L, a and b from 0 to 1.
Color16 node(double lightness, double a, double b) {
  const Color xyz = xyz_of_lab(lightness * 100.0, a * 255.0 - 128.0, b * 255.0 - 128.0);
  Color16 rgb{};
  for (int c = 0; c < 3; ++c) {
    double sum = 0;
    for (int i = 0; i < 3; ++i) sum += xyz[i] * kLinearOfXyz[c][i] * kLargest;
    rgb[c] = gamma_encoded(single(sum));
  }
  return rgb;
}

std::vector<Color16> make_table() {
  std::array<double, kNodes> at{};
  for (int i = 0; i < kNodes; ++i) at[i] = single(std::floor(i * 65535.0 / kSteps + 0.5) / 65535.0);
  std::vector<Color16> table;
  table.reserve(kNodes * kNodes * kNodes);
  for (const double lightness : at) {
    for (const double a : at) {
      for (const double b : at) table.push_back(node(lightness, a, b));
    }
  }
  return table;
}

/// A position between two nodes along one axis.
struct Place {
  int32_t rest = 0;    // fraction of the interval, out of 65536
  int32_t stride = 0;  // to the next node; 0 at the last one
};

uint8_t to_byte(int32_t sample) {
  // Little CMS's FROM_16_TO_8: sample / 257, rounded.
  return static_cast<uint8_t>((uint32_t(sample) * 65281U + 8388608U) >> 24);
}

/// Tetrahedral interpolation: walks from the lower node along the axes in order of decreasing rest.
void interpolate(const Color16* below, std::array<Place, 3> places, uint8_t* to) {
  std::stable_sort(places.begin(), places.end(),
                   [](const Place& a, const Place& b) { return a.rest > b.rest; });
  // With the shift below: rounded division by 65535.
  Color16 sum{0x8001, 0x8001, 0x8001};
  const Color16* last = below;
  for (const Place& place : places) {
    const Color16* next = last + place.stride;
    for (int c = 0; c < 3; ++c) sum[c] += ((*next)[c] - (*last)[c]) * place.rest;
    last = next;
  }
  for (int c = 0; c < 3; ++c) {
    to[c] = to_byte(((*below)[c] + ((sum[c] + (sum[c] >> 16)) >> 16)) & 0xFFFF);
  }
}

}  // namespace

void lab_to_rgb(const uint8_t* from, int64_t step, int64_t count, uint8_t* to) {
  static const std::vector<Color16> table = make_table();
  constexpr std::array<int32_t, 3> kStrides{kNodes * kNodes, kNodes, 1};
  for (int64_t x = 0; x < count; ++x, from += step, to += 3) {
    std::array<Place, 3> places;
    const Color16* below = table.data();
    for (int i = 0; i < 3; ++i) {
      const int32_t sample = i == 0 ? from[i] : from[i] ^ 0x80;
      const int32_t scaled = sample * 257 * kSteps;
      // From units of 1 / 65535 to 16.16 fixed point.
      const int32_t fixed = scaled + (scaled + 0x7FFF) / 0xFFFF;
      below += (fixed >> 16) * kStrides[i];
      places[i] = {fixed & 0xFFFF, sample == 255 ? 0 : kStrides[i]};
    }
    interpolate(below, places, to);
  }
}

}  // namespace ibot::data
