#include "codec/orientation.h"

#include <cstring>
#include <string_view>

#include "codec/tiff_directory.h"

namespace ibot::data {
namespace {

constexpr std::string_view kExif("Exif\0\0", 6);
constexpr uint8_t kApp1 = 0xE1;
constexpr uint8_t kStartOfScan = 0xDA;

bool begins_with(Bytes bytes, std::string_view text) {
  return bytes.size() >= text.size() && std::memcmp(bytes.data(), text.data(), text.size()) == 0;
}

}  // namespace

Image oriented(Image image, int64_t orientation) {
  if (orientation < 2 || orientation > 8) return image;
  const bool turned = orientation >= 5;
  const bool flip_rows =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool flip_columns = orientation == 2 || orientation == 3 || orientation >= 7;
  Image seen(turned ? image.width() : image.height(), turned ? image.height() : image.width());
  for (int64_t y = 0; y < seen.height(); ++y) {
    for (int64_t x = 0; x < seen.width(); ++x) {
      const int64_t row = turned ? x : y;
      const int64_t column = turned ? y : x;
      const uint8_t* from = image.row(flip_rows ? image.height() - 1 - row : row) +
                            3 * (flip_columns ? image.width() - 1 - column : column);
      std::memcpy(seen.row(y) + 3 * x, from, 3);
    }
  }
  return seen;
}

int64_t exif_orientation(Bytes bytes) {
  // Marker (2), length (2), content.
  for (size_t at = 2; at + 4 <= bytes.size() && bytes[at] == 0xFF;) {
    const uint8_t marker = bytes[at + 1];
    if (marker == kStartOfScan) break;
    if (marker == 0xFF) {  // fill
      ++at;
      continue;
    }
    const size_t length = read_big(bytes, at + 2, 2);
    if (length < 2 || at + 2 + length > bytes.size()) break;
    const auto content = bytes.subspan(at + 4, length - 2);
    if (marker == kApp1 && begins_with(content, kExif)) {
      const auto tiff = content.subspan(kExif.size());
      if (!TiffDirectory::begins(tiff)) return 1;
      const auto stated = TiffDirectory(tiff).value_or(TiffTag::kOrientation, 1);
      return stated >= 1 && stated <= 8 ? stated : 1;
    }
    at += 2 + length;
  }
  return 1;
}

}  // namespace ibot::data
