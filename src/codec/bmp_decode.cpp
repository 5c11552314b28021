// Windows and OS/2 bitmaps. Source: Pillow 12.2, BmpImagePlugin.py.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <sstream>

#include "codec/codecs.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

constexpr size_t kFileHeader = 14;
constexpr int64_t kCoreHeader = 12;
enum Compression : uint32_t { kRaw = 0, kRle8 = 1, kRle4 = 2, kBitfields = 3 };

/// Byte positions of red, green and blue in a pixel of 24 or 32 bits; packed pixels of 16 bits have
/// `green_bits` between 5 of red and 5 of blue.
struct BmpLayout {
  std::array<int, 3> bytes{2, 1, 0};
  int green_bits = 5;
};

struct Header {
  int64_t size = 0;
  int64_t width = 0;
  int64_t height = 0;
  bool bottom_up = true;
  int bits = 0;
  uint32_t compression = kRaw;
  int64_t colors = 0;
  size_t palette = 0;
  size_t begin = 0;
  BmpLayout layout;

  size_t color_bytes() const { return size == kCoreHeader ? 3 : 4; }
  bool runs() const { return compression == kRle8 || compression == kRle4; }
  size_t row_bytes() const { return (width * bits + 31) / 32 * 4; }
};

struct Masks {
  int bits;
  std::array<uint32_t, 4> masks;
  BmpLayout layout;
};

/// The masks that Pillow supports; the fourth, of alpha, is compared only for 32 bits.
constexpr std::array<Masks, 11> kLayouts{{
    {32, {0xFF0000, 0xFF00, 0xFF, 0}, {{2, 1, 0}}},
    {32, {0xFF000000, 0xFF0000, 0xFF00, 0}, {{3, 2, 1}}},
    {32, {0xFF000000, 0xFF00, 0xFF, 0}, {{3, 1, 0}}},
    {32, {0xFF000000, 0xFF0000, 0xFF00, 0xFF}, {{3, 2, 1}}},
    {32, {0xFF, 0xFF00, 0xFF0000, 0xFF000000}, {{0, 1, 2}}},
    {32, {0xFF0000, 0xFF00, 0xFF, 0xFF000000}, {{2, 1, 0}}},
    {32, {0xFF000000, 0xFF00, 0xFF, 0xFF0000}, {{3, 1, 0}}},
    {32, {0, 0, 0, 0}, {{2, 1, 0}}},
    {24, {0xFF0000, 0xFF00, 0xFF, 0}, {{2, 1, 0}}},
    {16, {0xF800, 0x7E0, 0x1F, 0}, {{}, 6}},
    {16, {0x7C00, 0x3E0, 0x1F, 0}, {{}, 5}},
}};

BmpLayout layout_of(int bits, const std::array<uint32_t, 4>& masks, const std::string& name) {
  for (const auto& known : kLayouts) {
    const bool colors = std::equal(masks.begin(), masks.begin() + 3, known.masks.begin());
    const bool alpha = bits != 32 || masks[3] == known.masks[3];
    if (known.bits == bits && colors && alpha) return known.layout;
  }
  std::ostringstream shown;
  for (const auto mask : masks) shown << ' ' << std::hex << mask;
  throw DataError(concat(name, ": BMP of ", bits, " bits with masks", shown.str(),
                         ", which are not supported; convert it to PNG"));
}

/// Masks are at the same offset, within headers of 52 bytes or more and after shorter ones.
std::array<uint32_t, 4> read_masks(Bytes bytes, const Header& header, const std::string& name) {
  // At byte 40 of the header: behind one of 40 bytes, within a longer one.
  const bool has_alpha = header.size >= 56;
  constexpr size_t kMasks = kFileHeader + 40;
  IBOT_CHECK_AS(DataError, bytes.size() >= kMasks + 16, name, ": BMP file is truncated");
  std::array<uint32_t, 4> masks{};
  for (size_t i = 0; i < (has_alpha ? 4 : 3); ++i) masks[i] = read_little(bytes, kMasks + 4 * i, 4);
  return masks;
}

const char* name_of(uint32_t compression) {
  if (compression == 4) return " (JPEG)";
  return compression == 5 ? " (PNG)" : "";
}

void check_kind(const Header& header, const std::string& name) {
  constexpr std::array<int, 6> kBits{1, 4, 8, 16, 24, 32};
  IBOT_CHECK_AS(DataError, std::find(kBits.begin(), kBits.end(), header.bits) != kBits.end(), name,
                ": expected a BMP of 1, 4, 8, 16, 24 or 32 bits, got ", header.bits);
  IBOT_CHECK_AS(DataError, header.compression <= kBitfields, name, ": BMP of compression ",
                header.compression, name_of(header.compression),
                ", which is not supported; convert it to PNG");
  IBOT_CHECK_AS(DataError, !header.runs() || header.bits <= 8, name, ": BMP of ", header.bits,
                " bits with run-length compression");
}

Header read_bmp_header(Bytes bytes, const std::string& name) {
  IBOT_CHECK_AS(DataError, bytes.size() >= kFileHeader + kCoreHeader, name,
                ": BMP file is truncated");
  const auto number = [&](size_t at, int size) {
    return read_little(bytes, kFileHeader + at, size);
  };
  Header header{.size = number(0, 4)};
  const bool core = header.size == kCoreHeader;
  constexpr std::array<int64_t, 7> kSizes{kCoreHeader, 40, 52, 56, 64, 108, 124};
  IBOT_CHECK_AS(DataError, std::find(kSizes.begin(), kSizes.end(), header.size) != kSizes.end(),
                name, ": BMP with a header of ", header.size, " bytes, which is not supported");
  IBOT_CHECK_AS(DataError, static_cast<int64_t>(bytes.size()) >= int64_t{kFileHeader} + header.size,
                name, ": BMP file is truncated within its header");
  header.width = number(4, core ? 2 : 4);
  header.height = core ? number(6, 2) : std::abs(int64_t{static_cast<int32_t>(number(8, 4))});
  header.bits = static_cast<int>(number(core ? 10 : 14, 2));
  if (!core) {
    // The top byte of a negative height, as Pillow tests it: rows from top to bottom.
    header.bottom_up = number(11, 1) != 0xFF;
    header.compression = number(16, 4);
    header.colors = number(32, 4);
  }
  check_kind(header, name);
  header.palette = kFileHeader + header.size;
  if (header.compression == kBitfields) {
    header.layout = layout_of(header.bits, read_masks(bytes, header, name), name);
    if (header.size < 52) header.palette += 12;
  }
  if (header.colors == 0) header.colors = int64_t{1} << header.bits;
  header.begin = read_little(bytes, 10, 4);
  const bool palette = header.bits <= 8;
  IBOT_CHECK_AS(DataError, !palette || header.colors <= 256, name, ": BMP of ", header.colors,
                " colors in its palette, expected at most 256");
  const size_t behind_palette =
      header.palette + (palette ? header.color_bytes() * header.colors : 0);
  // Some writers omit the palette from the offset of the pixels.
  if (header.begin == 0 || (palette && header.begin == kFileHeader + header.size)) {
    header.begin = behind_palette;
  }
  return header;
}

using Palette = std::array<std::array<uint8_t, 3>, 256>;

/// Indices beyond the last color are black. Pillow ignores a palette that is the identity gray
/// ramp: each byte is its gray value.
Palette read_palette(Bytes bytes, const Header& header) {
  Palette colors{};
  bool gray = header.bits == 8;
  for (int64_t i = 0; i < header.colors; ++i) {
    const size_t at = header.palette + header.color_bytes() * i;
    if (at + 3 > bytes.size()) break;
    colors[i] = {bytes[at + 2], bytes[at + 1], bytes[at]};
    for (const auto value : colors[i]) gray = gray && value == i;
  }
  for (size_t i = 0; gray && i < colors.size(); ++i) colors[i].fill(static_cast<uint8_t>(i));
  return colors;
}

/// Decodes run-length data to one palette index per pixel, in the file's order of rows.
///
/// As Pillow does: a run is cut at the end of its row, literal indices are not; the last of an odd
/// number of 4-bit literals is lost; an end before the last pixel is an error.
class Runs {
 public:
  Runs(Bytes bytes, const Header& header, const std::string& name)
      : bytes_(bytes), at_(header.begin), width_(header.width), header_(header), name_(name) {}

  std::vector<uint8_t> pixels() {
    const auto wanted = static_cast<size_t>(width_ * header_.height);
    while (pixels_.size() < wanted && has(2) && step()) {
    }
    IBOT_CHECK_AS(DataError, pixels_.size() >= wanted, name_,
                  ": BMP file is truncated: ", pixels_.size(), " of ", wanted, " pixels");
    return std::move(pixels_);
  }

 private:
  bool has(size_t count) const { return at_ + count <= bytes_.size(); }

  /// Executes one instruction; false at the end of the bitmap.
  bool step() {
    // Count and index of a run; after a count of 0: end of row, end of bitmap, skip, or as many
    // literals.
    const int count = bytes_[at_];
    const int value = bytes_[at_ + 1];
    at_ += 2;
    if (count > 0) {
      repeat(value, std::min<int64_t>(count, std::max<int64_t>(width_ - x_, 0)));
      return true;
    }
    if (value == 0) return end_row();
    if (value == 1) return false;
    return value == 2 ? skip() : copy(value);
  }

  void repeat(int value, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const int nibble = i % 2 == 0 ? value >> 4 : value & 15;
      pixels_.push_back(static_cast<uint8_t>(four_bits() ? nibble : value));
    }
    x_ += count;
  }

  bool end_row() {
    const auto width = static_cast<size_t>(width_);
    // Pixels that are never written have index 0.
    pixels_.resize((pixels_.size() + width - 1) / width * width);
    x_ = 0;
    return true;
  }

  bool skip() {
    if (!has(2)) return false;
    // Columns to the right and rows on.
    const auto passed = bytes_[at_] + bytes_[at_ + 1] * width_;
    at_ += 2;
    const auto left = width_ * header_.height - static_cast<int64_t>(pixels_.size());
    pixels_.resize(pixels_.size() + std::min(passed, left));
    x_ = static_cast<int64_t>(pixels_.size()) % width_;
    return true;
  }

  bool copy(int count) {
    const size_t size = four_bits() ? count / 2 : count;
    if (!has(size)) return false;
    for (size_t i = 0; i < size; ++i) {
      const uint8_t byte = bytes_[at_++];
      if (four_bits()) pixels_.push_back(byte >> 4);
      pixels_.push_back(four_bits() ? byte & 15 : byte);
    }
    x_ += count;
    at_ += at_ % 2;  // literals are padded to 16 bits
    return true;
  }

  bool four_bits() const { return header_.compression == kRle4; }

  Bytes bytes_;
  size_t at_;
  int64_t width_;
  const Header& header_;
  const std::string& name_;
  int64_t x_ = 0;
  std::vector<uint8_t> pixels_;
};

/// A `bits`-bit value scaled to 8 bits as Pillow does.
uint8_t widened(int value, int bits) {
  const int largest = (1 << bits) - 1;
  // Rounds down, as Pillow does.
  return static_cast<uint8_t>((value & largest) * 255 / largest);
}

void palette_row(const uint8_t* from, int bits, int64_t width, const Palette& palette,
                 uint8_t* to) {
  const int per_byte = 8 / bits;
  const int mask = (1 << bits) - 1;
  for (int64_t x = 0; x < width; ++x) {
    const auto shift = static_cast<int>(8 - bits * (1 + x % per_byte));
    to = std::copy_n(palette[from[x / per_byte] >> shift & mask].begin(), 3, to);
  }
}

void packed_row(const uint8_t* from, const Header& header, uint8_t* to) {
  const int green = header.layout.green_bits;
  for (int64_t x = 0; x < header.width; ++x, from += 2, to += 3) {
    const int pixel = from[0] | from[1] << 8;
    to[0] = widened(pixel >> (5 + green), 5);
    to[1] = widened(pixel >> 5, green);
    to[2] = widened(pixel, 5);
  }
}

void color_row(const uint8_t* from, const Header& header, uint8_t* to) {
  const auto& place = header.layout.bytes;
  for (int64_t x = 0; x < header.width; ++x, from += header.bits / 8, to += 3) {
    for (int c = 0; c < 3; ++c) to[c] = from[place[c]];
  }
}

Image image_of_rows(Bytes rows, size_t row_bytes, int bits, const Header& header,
                    const Palette& palette) {
  Image image(header.height, header.width);
  for (int64_t y = 0; y < header.height; ++y) {
    const uint8_t* from = rows.data() + y * row_bytes;
    uint8_t* to = image.row(header.bottom_up ? header.height - 1 - y : y);
    if (bits <= 8) {
      palette_row(from, bits, header.width, palette, to);
    } else if (bits == 16) {
      packed_row(from, header, to);
    } else {
      color_row(from, header, to);
    }
  }
  return image;
}

void check_whole(Bytes bytes, const Header& header, const std::string& name) {
  // The padding of the last row may be missing.
  const uint64_t needed =
      header.row_bytes() * (header.height - 1) + (header.width * header.bits + 7) / 8;
  const uint64_t got = bytes.size() - std::min(bytes.size(), header.begin);
  IBOT_CHECK_AS(DataError, got >= needed, name, ": BMP file is truncated: ", got, " of ", needed,
                " bytes of pixels");
}

}  // namespace

Image decode_bmp(Bytes bytes, const std::string& name) {
  const Header header = read_bmp_header(bytes, name);
  if (header.runs()) {
    // The indices are 8 bits each, without row padding.
    const auto pixels = Runs(bytes, header, name).pixels();
    return image_of_rows(pixels, header.width, 8, header, read_palette(bytes, header));
  }
  check_whole(bytes, header, name);
  const auto palette = header.bits <= 8 ? read_palette(bytes, header) : Palette{};
  return image_of_rows(bytes.subspan(header.begin), header.row_bytes(), header.bits, header,
                       palette);
}

}  // namespace ibot::data
