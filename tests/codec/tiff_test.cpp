#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "codec/tiff_decode.h"
#include "data/pictures.h"
#include "ibot/base/error.h"
#include "ibot/codec/decode.h"
#include "support/python.h"
#include "support/temporary_folder.h"

namespace ibot::data {
namespace {

using testing::Bytes;

std::filesystem::path tiff_samples() {
  return std::filesystem::path(IBOT_SOURCE_DIR) / "tests/codec/samples/tiff";
}

Bytes sample(const std::string& name) {
  return testing::read_bytes(tiff_samples() / (name + ".tif"));
}

std::vector<std::filesystem::path> tiffs_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".tif") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// Width and height as 32-bit numbers, then the pixels; empty for a file that is refused.
Bytes flattened(const Image& image) {
  Bytes bytes;
  for (const int64_t side : {image.width(), image.height()}) {
    for (int shift = 0; shift < 32; shift += 8)
      bytes.push_back(static_cast<uint8_t>(side >> shift));
  }
  const auto* begin = image.row(0);
  bytes.insert(bytes.end(), begin, begin + 3 * image.width() * image.height());
  return bytes;
}

Bytes decoded(const Bytes& bytes) {
  try {
    return flattened(decode(bytes, "picture.tif"));
  } catch (const DataError&) {
    return {};
  }
}

std::string tiff_refusal(const Bytes& bytes, const DecodeOptions& options = {}) {
  try {
    decode_tiff(bytes, options, "folder/picture.tif");
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

void expect_refusal(const Bytes& bytes, const std::string& words) {
  const auto text = tiff_refusal(bytes);
  EXPECT_EQ(text.rfind("folder/picture.tif: ", 0), 0U) << text;
  EXPECT_NE(text.find(words), std::string::npos) << text;
}

/// NAME.tif of the folder against NAME.rgb.
void expect_pixels_of(const std::filesystem::path& folder) {
  const auto files = tiffs_in(folder);
  EXPECT_GE(files.size(), 40U);
  for (auto file : files) {
    const auto bytes = testing::read_bytes(file);
    const auto expected = testing::read_bytes(file.replace_extension(".rgb"));
    // Not EXPECT_EQ, which would print all pixels.
    EXPECT_TRUE(decoded(bytes) == expected) << file;
    if (expected.empty()) continue;
    const auto header = read_header(bytes, "picture.tif");
    EXPECT_EQ(header.format, ImageFormat::kTiff);
    EXPECT_EQ(header.width, expected[0] + 256 * expected[1]) << file;
    EXPECT_EQ(header.height, expected[4] + 256 * expected[5]) << file;
  }
}

// Files and pixels of tiff_variants.py, under names that say what they are.
TEST(Tiff, KeptSamplesHavePillowsPixels) { expect_pixels_of(tiff_samples()); }

TEST(Tiff, EveryVariantHasPillowsPixels) {
  if (!testing::python_has("PIL, tifffile, imagecodecs")) GTEST_SKIP() << "no tifffile for python3";
  const testing::TemporaryFolder folder;
  const auto script = std::filesystem::path(IBOT_SOURCE_DIR) / "tests/codec/tiff_variants.py";
  testing::python_output("import runpy, sys\nsys.argv = ['tiff_variants.py', '" +
                         folder.path().string() + "']\nrunpy.run_path('" + script.string() + "')");
  expect_pixels_of(folder.path());
}

TEST(Tiff, SaysWherePillowsPixelsAreNotThoseThatWereMeant) {
  const auto warning = [](const std::string& name) {
    return decode_checked(sample(name), name).warning;
  };
  EXPECT_EQ(warning("rgb_16_planar"),
            "Pillow takes bytes for samples of planes of 16 bits that are not compressed");
  EXPECT_EQ(warning("gray_float_big_endian_deflate"),
            "Pillow exchanges the bytes of compressed big-endian samples twice");
  EXPECT_EQ(warning("rgb_planar"), "");
}

TEST(Tiff, RefusesByTheTrueName) {
  expect_refusal(sample("refused_13_bands"), "got 13 bands of 8-bit unsigned integers");
  expect_refusal(sample("refused_64_bit_floats"), "got 1 band of 64-bit floats");
  expect_refusal(sample("refused_premultiplied_gray"), "premultiplied alpha");
  expect_refusal(sample("refused_jpeg_2000"), "expected a TIFF compression that Pillow reads");
}

/// Each sample cut at several places, and with single bytes replaced.
std::vector<Bytes> damaged() {
  std::vector<Bytes> all;
  for (const auto& file : tiffs_in(tiff_samples())) {
    const auto whole = testing::read_bytes(file);
    for (size_t part = 1; part < 8; ++part) {
      all.emplace_back(whole.begin(),
                       whole.begin() + static_cast<int64_t>(whole.size() * part / 8));
      all.push_back(whole);
      all.back()[whole.size() * part / 8] ^= 0x5A;
      all.push_back(whole);
      all.back()[whole.size() - 7 * part] += 0x11;
    }
  }
  return all;
}

TEST(Tiff, TruncatedFilesAreRefused) {
  for (const std::string name : {"rgb_planar", "lzw_predictor_16_planar", "tiles_48", "fax_4",
                                 "jpeg_ycbcr_tiled", "rgb_bigtiff_big_endian"}) {
    const auto whole = sample(name);
    for (const size_t kept : {whole.size() / 2, size_t{100}, size_t{9}}) {
      expect_refusal({whole.begin(), whole.begin() + static_cast<int64_t>(kept)}, "truncated");
    }
  }
}

TEST(Tiff, PrintsNothing) {
  ::testing::internal::CaptureStderr();
  ::testing::internal::CaptureStdout();
  for (const auto& bytes : damaged()) decoded(bytes);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
}

std::vector<Bytes> decoded_in_memory_of(int filling, const std::vector<Bytes>& files) {
  mallopt(M_PERTURB, filling);
  std::vector<Bytes> pixels;
  for (const auto& bytes : files) pixels.push_back(decoded(bytes));
  mallopt(M_PERTURB, 0);
  return pixels;
}

TEST(Tiff, UnwrittenMemoryReachesNoPixel) {
  auto files = damaged();
  for (const auto& file : tiffs_in(tiff_samples())) files.push_back(testing::read_bytes(file));
  EXPECT_TRUE(decoded_in_memory_of(0x55, files) == decoded_in_memory_of(0xAA, files));
}

TEST(Tiff, ThreadsDecodeAtOnce) {
  const auto files = tiffs_in(tiff_samples());
  std::vector<std::thread> threads;
  std::vector<int> different(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (auto file : files) {
        const auto pixels = decoded(testing::read_bytes(file));
        different[i] += pixels != testing::read_bytes(file.replace_extension(".rgb"));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(different, std::vector<int>(4));
}

/// A little-endian directory of one strip behind everything else; entries of one 32-bit number.
Bytes tiff_of(std::vector<std::array<uint32_t, 2>> entries, size_t content = 64) {
  Bytes bytes{'I', 'I', 42, 0};
  const auto put = [&](uint32_t value, int size) {
    for (int i = 0; i < size; ++i) bytes.push_back(static_cast<uint8_t>(value >> 8 * i));
  };
  put(static_cast<uint32_t>(8 + content), 4);
  bytes.resize(8 + content);
  put(static_cast<uint32_t>(entries.size()), 2);
  for (const auto& [tag, value] : entries) {
    put(tag, 2);
    put(4, 2);
    put(1, 4);
    put(value, 4);
  }
  put(0, 4);
  return bytes;
}

Bytes gray_of(uint32_t width, uint32_t height, uint32_t compression) {
  return tiff_of({{256, width},
                  {257, height},
                  {258, 8},
                  {259, compression},
                  {262, 1},
                  {273, 8},
                  {277, 1},
                  {278, height},
                  {279, 64}});
}

// Each claims far more than 250 bytes can hold.
TEST(Tiff, HugeClaimsAreRefusedAtOnce) {
  expect_refusal(gray_of(1000000, 1000, 1), "expected 1 to 178956970 pixels, got 1000000 x 1000");
  for (const uint32_t compression : {1, 5, 7, 8, 32773}) {
    expect_refusal(gray_of(13000, 13000, compression), "bytes for 13000 x 13000 pixels");
  }
  auto tiled = tiff_of({{256, 8},
                        {257, 8},
                        {258, 8},
                        {259, 8},
                        {262, 1},
                        {277, 1},
                        {322, 1U << 30},
                        {323, 1U << 30},
                        {324, 8},
                        {325, 64}});
  expect_refusal(tiled, "expected TIFF tiles of 1 to");
  expect_refusal(gray_of(8, 8, 8), "truncated or damaged");
  EXPECT_EQ(tiff_refusal(gray_of(8, 8, 1)), "");
}

TEST(Tiff, LimitOfPixelsIsAnOption) {
  EXPECT_EQ(tiff_refusal(gray_of(8, 8, 1), {.max_pixels = 64}), "");
  EXPECT_NE(tiff_refusal(gray_of(8, 8, 1), {.max_pixels = 63}).find("1 to 63 pixels, got 8 x 8"),
            std::string::npos);
}

TEST(Tiff, MissingPartsAreSaid) {
  expect_refusal(tiff_of({{256, 8}}), "truncated within its header");
  expect_refusal(tiff_of({{256, 8}, {257, 0}, {258, 8}, {262, 1}}), "expected 1 to");
  expect_refusal(tiff_of({{256, 8}, {257, 8}, {258, 8}, {262, 3}, {273, 8}, {279, 64}}),
                 "no color map");
  expect_refusal(tiff_of({{256, 8}, {257, 8}, {258, 8}, {262, 1}}), "truncated or damaged");
  expect_refusal(gray_of(8, 8, 34925 + 1), "expected a TIFF compression that Pillow reads");
}

}  // namespace
}  // namespace ibot::data
