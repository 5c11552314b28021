#include "codec/tiff_pixels.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "codec/cmyk.h"
#include "codec/lab.h"

namespace ibot::data {
namespace {

// 16-bit samples are reduced to their high byte.
constexpr int64_t kHighByte = std::endian::native == std::endian::little ? 1 : 0;

TiffColorTable gray_table(int64_t bits, bool inverted) {
  TiffColorTable table{};
  const int64_t last = (1 << bits) - 1;
  for (int64_t value = 0; value <= last; ++value) {
    const int64_t gray = value * 255 / last;
    table[value].fill(static_cast<uint8_t>(inverted ? 255 - gray : gray));
  }
  return table;
}

/// From 16-bit `colors`: all of red, then green, then blue.
TiffColorTable palette_table(const std::vector<int64_t>& colors) {
  TiffColorTable table{};
  const size_t count = colors.size() / 3;
  for (size_t i = 0; i < std::min(count, table.size()); ++i) {
    for (size_t c = 0; c < 3; ++c) table[i][c] = static_cast<uint8_t>(colors[c * count + i] / 256);
  }
  return table;
}

/// Looks up one-sample pixels of `bits` bits, the first pixel in the highest bits.
void look_up(const TiffColorTable& table, const uint8_t* from, int64_t bits, int64_t count,
             uint8_t* to) {
  const int mask = (1 << bits) - 1;
  for (int64_t x = 0; x < count; ++x, to += 3) {
    const int64_t bit = x * bits;
    const int shift = static_cast<int>(8 - bits - bit % 8);
    std::memcpy(to, table[from[bit / 8] >> shift & mask].data(), 3);
  }
}

void look_up_bytes(const TiffColorTable& table, const uint8_t* from, int64_t step, int64_t count,
                   uint8_t* to) {
  for (int64_t x = 0; x < count; ++x, from += step, to += 3) {
    std::memcpy(to, table[*from].data(), 3);
  }
}

void copy_rgb(const uint8_t* from, int64_t step, int64_t count, uint8_t* to) {
  if (step == 3) {
    std::memcpy(to, from, 3 * count);
    return;
  }
  for (int64_t x = 0; x < count; ++x, from += step, to += 3) std::copy(from, from + 3, to);
}

/// Divides premultiplied colors by alpha, the fourth sample; black where alpha is zero.
void divide_by_alpha(const uint8_t* from, int64_t step, int64_t count, uint8_t* to) {
  for (int64_t x = 0; x < count; ++x, from += step, to += 3) {
    const int alpha = from[3];
    for (int c = 0; c < 3; ++c) {
      to[c] = static_cast<uint8_t>(alpha == 0 ? 0 : std::min(from[c] * 255 / alpha, 255));
    }
  }
}

void remove_inks(const uint8_t* from, int64_t step, int64_t count, uint8_t* to) {
  for (int64_t x = 0; x < count; ++x, from += step, to += 3) {
    for (int c = 0; c < 3; ++c) to[c] = without_ink(from[c], 255 - from[3]);
  }
}

}  // namespace

TiffPainter::TiffPainter(const TiffLayout& layout, const TiffDirectory& directory)
    : layout_(layout) {
  if (layout.color != TiffColor::kIndexed) return;
  table_ = layout.palette ? palette_table(directory.values(TiffTag::kColorMap))
                          : gray_table(layout.bits, layout.inverted);
}

void TiffPainter::paint(const TiffPart& part, Image& image) {
  for (int64_t y = 0; y < part.height; ++y) {
    const uint8_t* from = part.samples + y * part.row_bytes;
    if (layout_.bits == 16) {
      row_.resize(part.width * part.step);
      for (size_t i = 0; i < row_.size(); ++i) row_[i] = from[2 * i + kHighByte];
      from = row_.data();
    }
    paint_row(from, part, image.row(part.y + y) + 3 * part.x);
  }
}

// In planar files Pillow takes the two signed samples for unsigned ones.
void TiffPainter::paint_lab(const uint8_t* samples, const TiffPart& part, uint8_t* to) {
  if (!layout_.planar) return lab_to_rgb(samples, part.step, part.width, to);
  row_.assign(samples, samples + part.width * part.step);
  for (size_t i = 0; i < row_.size(); ++i) row_[i] ^= i % part.step == 0 ? 0 : 0x80;
  lab_to_rgb(row_.data(), part.step, part.width, to);
}

void TiffPainter::paint_row(const uint8_t* samples, const TiffPart& part, uint8_t* to) {
  if (layout_.color == TiffColor::kIndexed) {
    if (layout_.bits == 8) return look_up_bytes(table_, samples, part.step, part.width, to);
    return look_up(table_, samples, layout_.bits, part.width, to);
  }
  if (layout_.color == TiffColor::kCmyk) return remove_inks(samples, part.step, part.width, to);
  if (layout_.color == TiffColor::kLab) return paint_lab(samples, part, to);
  if (layout_.premultiplied) return divide_by_alpha(samples, part.step, part.width, to);
  copy_rgb(samples, part.step, part.width, to);
}

}  // namespace ibot::data
