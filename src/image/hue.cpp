#include <algorithm>
#include <cstring>

#include "ibot/image/pixel_ops.h"
#include "image/simd.h"

namespace ibot::data {
namespace {

// Branch-free loops over arrays of fixed length, one result each, which compilers vectorize. Types
// are Pillow's: rounding to float where it computes in double would move some colors by one level.

struct Hsv {
  int hue[kBlock];
  int saturation[kBlock];
  int value[kBlock];
};

IBOT_SIMD_PART inline void to_hsv(const uint8_t* __restrict red, const uint8_t* __restrict green,
                                  const uint8_t* __restrict blue, Hsv& __restrict out) {
  float red_part[kBlock], green_part[kBlock], blue_part[kBlock];
  float sector[kBlock];
  int range[kBlock];
  for (int64_t i = 0; i < kBlock; ++i) {
    const int r = red[i], g = green[i], b = blue[i];
    out.value[i] = std::max(r, std::max(g, b));
    range[i] = out.value[i] - std::min(r, std::min(g, b));
  }
  for (int64_t i = 0; i < kBlock; ++i) {
    // Gray pixels have range 0: any divisor gives hue 0, so no branch is needed.
    const auto divisor = static_cast<float>(std::max(range[i], 1));
    red_part[i] = static_cast<float>(out.value[i] - red[i]) / divisor;
    green_part[i] = static_cast<float>(out.value[i] - green[i]) / divisor;
    blue_part[i] = static_cast<float>(out.value[i] - blue[i]) / divisor;
    const float share =
        static_cast<float>(range[i]) / static_cast<float>(std::max(out.value[i], 1));
    out.saturation[i] = static_cast<int>(share * 255.0);
  }
  for (int64_t i = 0; i < kBlock; ++i) {
    const bool red_leads = red[i] == out.value[i];
    const bool green_leads = green[i] == out.value[i];
    const float plus = red_leads ? blue_part[i] : green_leads ? red_part[i] : green_part[i];
    const float minus = red_leads ? green_part[i] : green_leads ? blue_part[i] : red_part[i];
    const float base = red_leads ? 0.0F : green_leads ? 2.0F : 4.0F;
    sector[i] = static_cast<float>(static_cast<double>(base) + plus - minus);
  }
  for (int64_t i = 0; i < kBlock; ++i) {
    // fmod(turned, 1) of a positive number.
    const double turned = sector[i] / 6.0 + 1.0;
    const auto circle = static_cast<float>(turned - static_cast<int>(turned));
    out.hue[i] = static_cast<int>(circle * 255.0);
  }
}

IBOT_SIMD_PART inline void to_rgb(const Hsv& __restrict in, uint8_t* __restrict red,
                                  uint8_t* __restrict green, uint8_t* __restrict blue) {
  int sixth[kBlock];
  // Pillow's p, q and t: the lowest channel, and the ones that fall and rise within this sixth.
  int low[kBlock], falling[kBlock], rising[kBlock];
  float fraction[kBlock], strength[kBlock];
  for (int64_t i = 0; i < kBlock; ++i) {
    const auto angle = static_cast<float>(in.hue[i] * 6.0 / 255.0);
    const int whole = static_cast<int>(angle);
    fraction[i] = angle - static_cast<float>(whole);
    sixth[i] = whole == 6 ? 0 : whole;
    strength[i] = static_cast<float>(in.saturation[i] / 255.0);
  }
  for (int64_t i = 0; i < kBlock; ++i) {
    const double value = in.value[i];
    low[i] = static_cast<int>(value * (1.0 - strength[i]) + 0.5);
    falling[i] = static_cast<int>(value * (1.0 - strength[i] * fraction[i]) + 0.5);
    rising[i] = static_cast<int>(value * (1.0 - strength[i] * (1.0 - fraction[i])) + 0.5);
  }
  for (int64_t i = 0; i < kBlock; ++i) {
    const int s = sixth[i], v = in.value[i], p = low[i], q = falling[i], t = rising[i];
    // Bit masks: GCC turns conditional expressions into branches here.
    const int at0 = -(s == 0), at1 = -(s == 1), at2 = -(s == 2);
    const int at3 = -(s == 3), at4 = -(s == 4), at5 = -(s == 5);
    const int r = (v & (at0 | at5)) | (q & at1) | (p & (at2 | at3)) | (t & at4);
    const int g = (v & (at1 | at2)) | (q & at3) | (p & (at4 | at5)) | (t & at0);
    const int b = (v & (at3 | at4)) | (q & at5) | (p & (at0 | at1)) | (t & at2);
    red[i] = static_cast<uint8_t>(r);
    green[i] = static_cast<uint8_t>(g);
    blue[i] = static_cast<uint8_t>(b);
  }
}

IBOT_SIMD_PART inline void turn_block(uint8_t* red, uint8_t* green, uint8_t* blue, int turn) {
  Hsv hsv;
  to_hsv(red, green, blue, hsv);
  // Hue is a circle of 256 levels.
  for (int64_t i = 0; i < kBlock; ++i) hsv.hue[i] = (hsv.hue[i] + turn) & 255;
  to_rgb(hsv, red, green, blue);
}

IBOT_SIMD void turn_hue(CropView crop, int turn) {
  const int64_t count = crop.plane_size();
  const int64_t whole = count / kBlock * kBlock;
  for (int64_t i = 0; i < whole; i += kBlock) {
    turn_block(crop.plane(0) + i, crop.plane(1) + i, crop.plane(2) + i, turn);
  }
  // The last, incomplete block, padded with zeros.
  uint8_t rest[3][kBlock] = {};
  for (int c = 0; c < 3; ++c) std::memcpy(rest[c], crop.plane(c) + whole, count - whole);
  turn_block(rest[0], rest[1], rest[2], turn);
  for (int c = 0; c < 3; ++c) std::memcpy(crop.plane(c) + whole, rest[c], count - whole);
}

}  // namespace

void adjust_hue_(CropView crop, double shift) { turn_hue(crop, static_cast<int>(shift * 255)); }

}  // namespace ibot::data
