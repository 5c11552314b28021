// Files of every kind against Pillow's pixels: some hundred drawn where Python has Pillow, and a
// few that are kept with what Pillow 12.2 made of them.
#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdlib>
#include <filesystem>
#include <limits>
#include <numeric>
#include <optional>

#include "data/pictures.h"
#include "ibot/base/error.h"
#include "support/python.h"
#include "support/temporary_folder.h"

namespace ibot::data {
namespace {

std::string expected_pixels(const Image& image) {
  const int64_t size = 3 * image.height() * image.width();
  const std::string_view pixels(reinterpret_cast<const char*>(image.row(0)),
                                static_cast<size_t>(size));
  return concat(image.width(), ' ', image.height(), '\n', pixels);
}

/// "WIDTH HEIGHT\n" and the pixels, or the refusal.
std::string outcome(const std::filesystem::path& path) {
  try {
    return expected_pixels(decode(testing::read_bytes(path), path.filename().string()));
  } catch (const DataError& error) {
    return concat("refused: ", error.what());
  }
}

/// How many files of the folder were compared.
int compare(const std::filesystem::path& folder) {
  int compared = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const auto judge = entry.path();
    const bool refused = judge.extension() == ".refused";
    if (!refused && judge.extension() != ".rgb") continue;
    const auto file = folder / judge.stem();
    const auto got = outcome(file);
    const auto bytes = testing::read_bytes(judge);
    ++compared;
    if (refused) {
      EXPECT_TRUE(got.starts_with("refused: " + file.filename().string())) << file;
    } else if (got != std::string(bytes.begin(), bytes.end())) {
      ADD_FAILURE() << file << ": " << (got.starts_with("refused") ? got : "other pixels");
    }
  }
  return compared;
}

std::filesystem::path samples() {
  return std::filesystem::path(IBOT_SOURCE_DIR) / "tests/codec/samples";
}

TEST(DecodeVariants, KeptSamplesHavePillowsPixels) { EXPECT_GT(compare(samples()), 20); }

/// Compares what variants.py writes; `wanted` is its second argument. How many files, or nothing
/// without Python's Pillow.
std::optional<int> compare_with_pillow(const std::string& wanted = "") {
  if (!testing::python_has("PIL; assert int(PIL.__version__.split('.')[0]) >= 12")) return {};
  const testing::TemporaryFolder folder;
  std::string command =
      "python3 " + testing::shell_quoted(IBOT_SOURCE_DIR "/tests/codec/variants.py");
  command += ' ' + testing::shell_quoted(folder.path().string());
  if (!wanted.empty()) command += ' ' + testing::shell_quoted(wanted);
  EXPECT_EQ(std::system(command.c_str()), 0);
  return compare(folder.path());
}

TEST(DecodeVariants, DrawnFilesHavePillowsPixels) {
  const auto compared = compare_with_pillow();
  if (!compared) GTEST_SKIP() << "no Pillow 12 for python3";
  EXPECT_GT(*compared, 400);
}

class FieldImages : public ::testing::TestWithParam<const char*> {
 protected:
  std::string folder() const { return IBOT_SOURCE_DIR "/tests/field/" + std::string(GetParam()); }
};

TEST_P(FieldImages, HavePillowsPixels) {
  const auto compared = compare_with_pillow(folder());
  if (!compared) GTEST_SKIP() << "no Pillow 12 for python3";
  EXPECT_GT(*compared, 0);
}

INSTANTIATE_TEST_SUITE_P(DecodeVariants, FieldImages,
                         ::testing::Values("tiff_planar", "tiff_alpha", "tiled2", "multiband",
                                           "webp", "grey16"));

// Means of what Pillow 12.2 reads.
TEST(DecodeVariants, FieldImagesHaveTheirMean) {
  for (const auto& [file, mean] : std::vector<std::pair<std::string, double>>{
           {"tiff_planar/x/p16_rps8.tif", 118.33333333333333},
           {"tiff_alpha/x/assoc_rgba8.tif", 143.98494466145834},
           {"tiff_alpha/x/assoc_rgba16.tif", 143.98494466145834},
           {"tiff_alpha/x/u8_6ch.tif", 144.4384765625},
           {"tiled2/x/hand_48.tif", 122.57049166666667},
           {"tiled2/x/handpad_240.tif", 122.57049166666667},
           {"multiband/x/t_5ch.tif", 144.4384765625},
           {"multiband/x/t_uint32.tif", 150.55078125},
           {"webp/x/anim_lossy.webp", 144.44222005208334},
           {"webp/x/gif_as.jpg", 144.18888346354166}}) {
    const Image image = decode(
        testing::read_bytes(std::filesystem::path(IBOT_SOURCE_DIR "/tests/field") / file), file);
    const int64_t values = 3 * image.height() * image.width();
    const double sum = std::accumulate(image.row(0), image.row(0) + values, 0.0);
    EXPECT_NEAR(sum / static_cast<double>(values), mean, 1e-9) << file;
  }
}

// The allocator fills memory with another byte each time: none of it reaches a pixel.
TEST(DecodeVariants, PixelsDependOnNoMemoryOfBefore) {
  for (const int byte : {0x01, 0x5A, 0xFF}) {
    mallopt(M_PERTURB, byte);
    EXPECT_GT(compare(samples()), 20);
  }
  mallopt(M_PERTURB, 0);
}

std::string text_refusal(std::string_view bytes) {
  try {
    decode({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "a.jpg");
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

TEST(DecodeVariants, OtherKindsAreToldByName) {
  using namespace std::string_view_literals;
  const std::vector<std::pair<std::string_view, const char*>> kinds{
      {"", "got 0 bytes, an empty file"},
      {"\0\0\0\x18"
       "ftypheic\0\0\0\0mif1heic"sv,
       "of HEIC; convert it"},
      {"\0\0\0\x1C"
       "ftypmif1\0\0\0\0mif1avif"sv,
       "of AVIF; convert it"},
      {"\0\0\0\x1C"
       "ftypisom\0\0\0\0isommp42"sv,
       "of MP4"},
      {"\0\0\0\x0CjP  \r\n\x87\n"sv, "of JPEG 2000"},
      {"\xFF\x0A\0\0"sv, "of JPEG XL"},
      {"<?xml version='1.0'?><svg/>", "of SVG"},
      {"%PDF-1.7", "of PDF"},
      {"%!PS-Adobe-3.0 EPSF-3.0", "of EPS"},
      {"8BPS\0\1"sv, "of PSD"},
      {"\0\0\1\0\1\0"sv, "of ICO"},
      {"<!DOCTYPE html><html>", "of HTML"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer; fetch"},
      {"\x1F\x8B\x08\0"sv, "of gzip"},
      {"PK\x03\x04rest"sv, "of zip"},
      {"rate limit exceeded", "of text"},
      {"\0\0\0\0\0\0\0\0\0\0"sv, "of only zeros"},
      {"\1\2\3\4\5\6\7\x08"sv, "of another kind"},
      {"P7\nWIDTH 1\n", "PAM (P7), which is not supported"},
      {"PF\n2 1\n-1.0\n", "color PFM (PF), which is not supported"}};
  for (const auto& [bytes, name] : kinds) {
    EXPECT_NE(text_refusal(bytes).find(name), std::string::npos) << text_refusal(bytes);
    EXPECT_EQ(text_refusal(bytes).find("truncated"), std::string::npos) << text_refusal(bytes);
  }
}

/// The values of one row of 16-bit gray.
CheckedImage gray_row(const std::vector<int>& values, const DecodeOptions& options) {
  cv::Mat row(1, static_cast<int>(values.size()), CV_16UC1);
  for (size_t i = 0; i < values.size(); ++i) {
    row.at<uint16_t>(0, static_cast<int>(i)) = static_cast<uint16_t>(values[i]);
  }
  return decode_checked(testing::encoded(row, ".png"), "gray", options);
}

std::vector<int> grays(const CheckedImage& checked) {
  std::vector<int> values;
  for (int64_t x = 0; x < checked.image.width(); ++x) values.push_back(checked.image.row(0)[3 * x]);
  return values;
}

TEST(WideGray, IsCutOffAndSaidOrScaled) {
  const std::vector<int> values{0, 200, 1000, 4000};
  const auto clipped = gray_row(values, {});
  EXPECT_EQ(grays(clipped), (std::vector{0, 200, 255, 255}));
  EXPECT_EQ(clipped.notice, "gray of 16 bits: 50 % of pixels above 255");
  const auto by_type = gray_row(values, {.gray_range = GrayRange::kType});
  EXPECT_EQ(grays(by_type), (std::vector{0, 1, 4, 16}));  // 255 / 65535 of each, rounded
  EXPECT_EQ(by_type.notice, "");
  const auto by_data = gray_row({1000, 2500, 4000}, {.gray_range = GrayRange::kData});
  EXPECT_EQ(grays(by_data), (std::vector{0, 128, 255}));
  EXPECT_EQ(grays(gray_row({700, 700}, {.gray_range = GrayRange::kData})), (std::vector{0, 0}));
  EXPECT_EQ(gray_row({0, 255}, {}).notice, "");
}

TEST(WideGray, FloatsAreTruncatedAndNanIsBlack) {
  const float values[]{-1.0F, 0.8F, 254.99F, 300.0F, std::numeric_limits<float>::quiet_NaN()};
  std::string bytes = "Pf\n5 1\n-1.0\n";
  bytes.append(reinterpret_cast<const char*>(values), sizeof(values));
  const auto read = [&](GrayRange range) {
    return decode_checked({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "floats",
                          {.gray_range = range});
  };
  const auto clipped = read(GrayRange::kClip);
  EXPECT_EQ(grays(clipped), (std::vector{0, 0, 254, 255, 0}));
  EXPECT_EQ(clipped.notice,
            "gray of 32-bit floats: 20 % of pixels above 255, 20 % of pixels below 0, 20 % of "
            "pixels not a number");
  EXPECT_EQ(grays(read(GrayRange::kType)), (std::vector{0, 204, 255, 255, 0}));
}

TEST(Decode, TheLimitOfPixelsIsAnOption) {
  const auto bytes = testing::encoded(testing::drawing(13, 17), ".png");
  EXPECT_EQ(decode(bytes, "test", {.max_pixels = 221}).height(), 13);
  EXPECT_THROW(decode(bytes, "test", {.max_pixels = 220}), DataError);
}

}  // namespace
}  // namespace ibot::data
