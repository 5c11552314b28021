#include "ibot/codec/decode.h"

#include <gtest/gtest.h>

#include <chrono>
#include <opencv2/imgproc.hpp>

#include "data/pictures.h"
#include "ibot/base/error.h"
#include "support/golden.h"

namespace ibot::data {
namespace {

using testing::Bytes;
using testing::to_crop;

/// The first pixel of a decoded file.
std::array<int, 3> first_pixel(const Bytes& bytes) {
  const Image image = decode(bytes, "test");
  return {image.row(0)[0], image.row(0)[1], image.row(0)[2]};
}

std::string refusal(const Bytes& bytes) {
  try {
    decode(bytes, "folder/name.jpg");
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

cv::Mat one_pixel(int type, const cv::Scalar& value) { return {1, 1, type, value}; }

TEST(Decode, LosslessFormatsKeepEveryPixel) {
  const cv::Mat drawing = testing::drawing(13, 17);
  for (const std::string extension : {".png", ".bmp", ".ppm", ".tiff"}) {
    const Image image = decode(testing::encoded(drawing, extension), extension);
    ASSERT_EQ(image.height(), 13);
    ASSERT_EQ(image.width(), 17);
    for (int y = 0; y < 13; ++y) {
      for (int i = 0; i < 3 * 17; ++i) {
        const int expected = drawing.ptr<uint8_t>(y)[i - i % 3 + 2 - i % 3];
        ASSERT_EQ(image.row(y)[i], expected) << extension << ' ' << y << ' ' << i;
      }
    }
  }
}

TEST(Decode, WebpKeepsEveryPixelWhenLossless) {
  const cv::Mat drawing = testing::drawing(13, 17);
  const auto bytes = testing::encoded(drawing, ".webp");
  EXPECT_EQ(read_header(bytes, "test").format, ImageFormat::kWebp);
  EXPECT_EQ(read_header(bytes, "test").width, 17);
  EXPECT_EQ(read_header(bytes, "test").height, 13);
  const Image image = decode(bytes, "test");
  EXPECT_EQ(image.row(12)[3 * 16], drawing.ptr<uint8_t>(12)[3 * 16 + 2]);
}

TEST(Decode, GrayIsCopiedToThreeChannels) {
  const auto bytes = testing::encoded(one_pixel(CV_8UC1, 91), ".png");
  EXPECT_EQ(first_pixel(bytes), (std::array{91, 91, 91}));
}

TEST(Decode, AlphaIsDroppedNotBlended) {
  const auto bytes = testing::encoded(one_pixel(CV_8UC4, {10, 20, 30, 0}), ".png");
  EXPECT_EQ(first_pixel(bytes), (std::array{30, 20, 10}));
}

// Pillow: Image.fromarray(uint16 array).convert("RGB") clips, a color PNG keeps the high byte.
TEST(Decode, SixteenBitGrayIsClippedAndColorShifted) {
  EXPECT_EQ(first_pixel(testing::encoded(one_pixel(CV_16UC1, 256), ".png"))[0], 255);
  EXPECT_EQ(first_pixel(testing::encoded(one_pixel(CV_16UC1, 200), ".png"))[0], 200);
  EXPECT_EQ(first_pixel(testing::encoded(one_pixel(CV_16UC3, {0x0100, 0x7FFF, 0xFFFF}), ".png")),
            (std::array{255, 127, 1}));
}

TEST(Decode, OnePixelJpeg) {
  const Image image = decode(testing::encoded(one_pixel(CV_8UC3, {9, 9, 9}), ".jpg"), "test");
  EXPECT_EQ(image.height(), 1);
  EXPECT_EQ(image.width(), 1);
}

// Pillow: 50 of 100 → 127.5 → 128, half to even; 16-bit color likewise, 16-bit gray clipped.
TEST(Decode, AnymapsScaleTheirLargestValue) {
  EXPECT_EQ(first_pixel(bytes_of("P6 1 1 100\n\x32\x01\x64")), (std::array{128, 3, 255}));
  EXPECT_EQ(first_pixel(bytes_of("P3\n# a comment\n1 1\n10\n0 5 10\n")), (std::array{0, 128, 255}));
  EXPECT_EQ(first_pixel(bytes_of({"P5 1 1 1000\n\x00\x01", 14})), (std::array{66, 66, 66}));
  EXPECT_EQ(first_pixel(bytes_of({"P5 1 1 65535\n\x01\x00", 15})), (std::array{255, 255, 255}));
  EXPECT_EQ(first_pixel(bytes_of("P4 1 1\n\x80")), (std::array{0, 0, 0}));
  EXPECT_EQ(first_pixel(bytes_of("P1 2 1\n01")), (std::array{255, 255, 255}));
}

TEST(Decode, TruncatedFilesAreRefused) {
  for (const std::string extension : {".jpg", ".png", ".bmp", ".ppm", ".tiff", ".webp"}) {
    const Bytes whole = testing::encoded(testing::drawing(40, 48), extension);
    // A PNG ends in two checksums of its pixels and 12 bytes more that decide nothing.
    const size_t less = extension == ".png" ? 30 : 2;
    for (const size_t kept : {whole.size() - less, whole.size() / 2, size_t{40}, size_t{3}}) {
      const Bytes part(whole.begin(), whole.begin() + static_cast<int64_t>(kept));
      EXPECT_NE(refusal(part).find("folder/name.jpg: "), std::string::npos)
          << extension << ' ' << kept;
    }
  }
}

void expect_same_pixels(const Bytes& bytes, const Bytes& expected) {
  EXPECT_EQ(
      testing::difference(to_crop(decode(bytes, "test")), to_crop(decode(expected, "test"))).max,
      0);
}

// Pillow reads both to the same pixels as the whole file.
TEST(Decode, WhatEndsBehindItsLastPixelIsRead) {
  const Bytes jpeg = testing::jpeg();
  Bytes zeros(jpeg.begin(), jpeg.end() - 2);
  zeros.resize(zeros.size() + 100);
  expect_same_pixels(zeros, jpeg);
  const Bytes png = testing::encoded(testing::drawing(40, 48), ".png");
  for (const int64_t missing : {1, 8, 12, 14, 16}) {
    expect_same_pixels({png.begin(), png.end() - missing}, png);
  }
}

// PIL.Image.open(file).convert("RGB").getpixel((0, 0)) is (30, 20, 10) and (31, 21, 11).
TEST(Decode, BitmapsOfOs2KeepTheirColors) {
  const Bytes header{'B', 'M', 0, 0, 0, 0, 0, 0, 0, 0, 26, 0, 0, 0, 12, 0, 0, 0, 1, 0, 1, 0, 1, 0};
  Bytes colors = header;
  colors.insert(colors.end(), {24, 0, 10, 20, 30, 0});
  EXPECT_EQ(first_pixel(colors), (std::array{30, 20, 10}));
  Bytes palette = header;
  palette[10] = 32;
  palette.insert(palette.end(), {1, 0, 10, 20, 30, 11, 21, 31, 0x80, 0, 0, 0});
  EXPECT_EQ(first_pixel(palette), (std::array{31, 21, 11}));
}

TEST(Decode, WarnsOfDamageThatDecodes) {
  auto bytes = testing::jpeg();
  EXPECT_EQ(decode_checked(bytes, "test").warning, "");
  // A marker where the entropy-coded data go on.
  bytes[bytes.size() / 2 + bytes.size() / 4] = 0xFF;
  bytes[bytes.size() / 2 + bytes.size() / 4 + 1] = 0xD9;
  const auto damaged = decode_checked(bytes, "test");
  EXPECT_NE(damaged.warning.find("Corrupt JPEG data"), std::string::npos) << damaged.warning;
  EXPECT_EQ(damaged.image.height(), 40);
}

TEST(Decode, ProgressiveJpegMustBeWhole) {
  auto bytes = testing::jpeg_of(testing::drawing(40, 48), /*progressive=*/true);
  EXPECT_EQ(decode(bytes, "test").width(), 48);
  bytes.resize(bytes.size() - 20);
  EXPECT_NE(refusal(bytes).find("truncated"), std::string::npos);
}

TEST(Decode, OtherFilesAreRefused) {
  EXPECT_NE(refusal(bytes_of("<html>not found</html>")).find("expected an image"),
            std::string::npos);
  EXPECT_NE(refusal({}).find("got 0 bytes"), std::string::npos);
}

TEST(Decode, DamagedPngIsRefused) {
  auto bytes = testing::encoded(testing::drawing(40, 48), ".png");
  bytes[bytes.size() / 2] ^= 1;
  EXPECT_NE(refusal(bytes).find("checksum"), std::string::npos);
}

/// A baseline JPEG's header that claims a size, in 1 kB.
Bytes claiming(uint16_t height, uint16_t width) {
  Bytes bytes = testing::jpeg();
  for (size_t i = 0; i + 9 < bytes.size(); ++i) {
    if (bytes[i] != 0xFF || bytes[i + 1] != 0xC0) continue;
    bytes[i + 5] = static_cast<uint8_t>(height >> 8);
    bytes[i + 6] = static_cast<uint8_t>(height);
    bytes[i + 7] = static_cast<uint8_t>(width >> 8);
    bytes[i + 8] = static_cast<uint8_t>(width);
  }
  bytes.resize(1024);
  return bytes;
}

TEST(Decode, HugeHeadersAreRefusedAtOnce) {
  EXPECT_NE(refusal(claiming(20000, 20000)).find("178956970"), std::string::npos);
  EXPECT_NE(refusal(claiming(13000, 13000)).find("truncated"), std::string::npos);
  EXPECT_NE(refusal(claiming(0, 48)).find("expected pixels"), std::string::npos);
  EXPECT_NE(refusal(bytes_of("P6 20000 20000 255\n")).find("178956970"), std::string::npos);
  EXPECT_NE(refusal(bytes_of("P6 13000 13000 255\n")).find("truncated"), std::string::npos);
}

// 256 empty refinements of one coefficient and one more: legal, and a way to burn hours.
TEST(Decode, TooManyScansAreRefused) {
  const auto bytes = testing::jpeg_of(testing::drawing(8, 8), /*progressive=*/true);
  // Repeat the last scan: from its tables and header to the end marker.
  size_t scan = 0;
  for (size_t i = 0; i + 1 < bytes.size(); ++i) {
    if (bytes[i] == 0xFF && bytes[i + 1] == 0xDA) scan = i;
  }
  Bytes many(bytes.begin(), bytes.end() - 2);
  for (int i = 0; i < 300; ++i) many.insert(many.end(), bytes.begin() + scan, bytes.end() - 2);
  many.insert(many.end(), {0xFF, 0xD9});
  EXPECT_NE(refusal(many).find("256 JPEG scans"), std::string::npos) << refusal(many);
}

TEST(DecodeGolden, EveryFileIsExact) {
  int compared = 0;
  for (const auto& golden : testing::golden_cases("08_augment")) {
    const auto compare = [&](const std::string& file, const testing::ReadJson& item) {
      const Image image = decode(testing::read_bytes(golden.folder / file), file);
      const auto expected =
          testing::read_picture(golden.folder / item.at("decoded").get<std::string>());
      EXPECT_EQ(testing::difference(to_crop(image), to_crop(expected)).max, 0) << file;
      const auto header = read_header(testing::read_bytes(golden.folder / file), file);
      EXPECT_EQ((std::vector{header.width, header.height}),
                item.at("size_WxH").get<std::vector<int64_t>>());
      ++compared;
    };
    for (const auto& photo : golden.json.at("photos").elements()) compare(photo.at("jpeg"), photo);
    for (const auto& item : golden.json.at("edge_cases").elements()) {
      if (item.contains("file")) compare(item.at("file"), item);
    }
  }
  EXPECT_GT(compared, 0);
}

}  // namespace
}  // namespace ibot::data
