// Images turned as their EXIF data say.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>

#include "ibot/base/error.h"
#include "ibot/codec/decode.h"
#include "ibot/data/picture_files.h"
#include "support/expect_tensor.h"

namespace ibot::data {
namespace {

/// Four tones in the corners of 16 x 24 pixels.
Image corners() {
  Image image(16, 24);
  for (int64_t y = 0; y < 16; ++y) {
    for (int64_t x = 0; x < 24; ++x) {
      std::fill_n(image.row(y) + 3 * x, 3,
                  static_cast<uint8_t>(40 + 60 * (y / 8) + 120 * (x / 12)));
    }
  }
  return image;
}

/// The same file with an EXIF segment, in either byte order.
std::vector<uint8_t> with_orientation(const std::string& jpeg, uint8_t orientation, bool little) {
  std::string exif("Exif\0\0", 6);
  exif += little ? std::string("II*\0\x08\0\0\0\1\0\x12\x01\3\0\1\0\0\0", 18) +
                       std::string{static_cast<char>(orientation), 0, 0, 0}
                 : std::string("MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1", 18) +
                       std::string{0, static_cast<char>(orientation), 0, 0};
  exif += std::string(4, '\0');  // no further directory
  const auto length = exif.size() + 2;
  const auto segment = std::string("\xFF\xE1") + static_cast<char>(length >> 8) +
                       static_cast<char>(length & 0xFF) + exif;
  const auto whole = jpeg.substr(0, 2) + segment + jpeg.substr(2);
  return {whole.begin(), whole.end()};
}

torch::Tensor pixels(const Image& image) {
  auto tensor = torch::empty({image.height(), image.width(), 3}, torch::kByte);
  for (int64_t y = 0; y < image.height(); ++y) {
    std::copy_n(image.row(y), 3 * image.width(), tensor[y].mutable_data_ptr<uint8_t>());
  }
  return tensor;
}

/// What the EXIF standard has row 0 and column 0 of the stored image show.
torch::Tensor turned(const torch::Tensor& stored, int64_t orientation) {
  switch (orientation) {
    case 2:
      return stored.flip(1);
    case 3:
      return stored.flip({0, 1});
    case 4:
      return stored.flip(0);
    case 5:
      return stored.transpose(0, 1);
    case 6:
      return stored.transpose(0, 1).flip(1);
    case 7:
      return stored.transpose(0, 1).flip({0, 1});
    case 8:
      return stored.transpose(0, 1).flip(0);
    default:
      return stored;
  }
}

TEST(ExifOrientation, IsAppliedWhereAskedFor) {
  const auto jpeg = jpeg_bytes(corners(), 95);
  const std::vector<uint8_t> plain(jpeg.begin(), jpeg.end());
  const auto stored = pixels(decode(plain, "plain"));
  EXPECT_TENSOR_EQUAL(pixels(decode(plain, "plain", as_opencv({}))), stored);
  for (const bool little : {true, false}) {
    for (uint8_t orientation = 0; orientation <= 9; ++orientation) {
      SCOPED_TRACE(int{orientation});
      const auto file = with_orientation(jpeg, orientation, little);
      EXPECT_TENSOR_EQUAL(pixels(decode(file, "file")), stored);
      const auto seen = pixels(decode(file, "file", as_opencv({})));
      EXPECT_TENSOR_EQUAL(seen, turned(stored, orientation));
      const auto header = read_header(file, "file", as_opencv({}));
      EXPECT_EQ(header.height, seen.size(0));
      EXPECT_EQ(header.width, seen.size(1));
    }
  }
}

// A segment that ends early, or is no TIFF, says nothing.
TEST(ExifOrientation, DamagedDataAreIgnored) {
  const auto jpeg = jpeg_bytes(corners(), 95);
  const auto whole = with_orientation(jpeg, 6, true);
  for (const size_t place : {12, 14, 16, 24}) {
    auto damaged = whole;
    damaged[place] = 0xEE;
    EXPECT_EQ(decode(damaged, "damaged", as_opencv({})).height(), 16) << place;
  }
  for (size_t size = 2; size < 50; ++size) {
    std::string cut(whole.begin(), whole.begin() + static_cast<int64_t>(size));
    cut += jpeg.substr(2);
    const std::vector<uint8_t> bytes(cut.begin(), cut.end());
    try {
      decode(bytes, "cut", as_opencv({}));
    } catch (const DataError&) {
    }
  }
}

}  // namespace
}  // namespace ibot::data
