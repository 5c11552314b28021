#include "ibot/data/picture_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "ibot/base/error.h"
#include "ibot/codec/decode.h"
#include "ibot/data/npy_mask.h"
#include "ibot/io/file.h"
#include "support/python.h"

namespace ibot::data {
namespace {

using ::testing::HasSubstr;

Image gradient(int64_t height, int64_t width) {
  Image image(height, width);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < 3 * width; ++x) image.row(y)[x] = static_cast<uint8_t>(7 * y + 5 * x);
  }
  return image;
}

std::span<const uint8_t> view_of(const std::string& file) {
  return {reinterpret_cast<const uint8_t*>(file.data()), file.size()};
}

TEST(PictureFiles, PngKeepsEveryPixel) {
  for (const auto& [height, width] : {std::pair{1, 1}, {7, 31}, {64, 3}}) {
    const auto image = gradient(height, width);
    const auto back = decode(view_of(png_bytes(image)), "picture.png");
    ASSERT_EQ(back.height(), height);
    ASSERT_EQ(back.width(), width);
    EXPECT_TRUE(std::equal(image.row(0), image.row(0) + 3 * height * width, back.row(0)));
  }
}

TEST(PictureFiles, JpegIsThatOfPillow) {
  if (!testing::python_has("PIL")) GTEST_SKIP() << "no Pillow";
  const testing::TemporaryFolder folder;
  const auto image = gradient(32, 48);
  io::write_file(folder / "ours.jpg", jpeg_bytes(image, 75));
  io::write_file(folder / "picture.png", png_bytes(image));
  const auto same = testing::python_output(
      "from PIL import Image, ImageChops\nimport io\n"
      "picture = Image.open('" +
      (folder / "picture.png").string() +
      "').convert('RGB')\n"
      "file = io.BytesIO(); picture.save(file, 'JPEG')\n"
      "ours = Image.open('" +
      (folder / "ours.jpg").string() +
      "')\n"
      "print(max(high for low, high in ImageChops.difference(ours, "
      "Image.open(file)).getextrema()))");
  EXPECT_LE(std::stoi(same), 3);  // another version of libjpeg
}

uint32_t number_at(const std::string& bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 4; i > 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[at + i - 1]);
  return value;
}

TEST(PictureFiles, AVideosIndexLeadsToItsFrames) {
  const testing::TemporaryFolder folder;
  Video video(25);
  for (int i = 0; i < 3; ++i) video.add(gradient(16, 24));
  video.write(folder / "video.avi");
  const auto bytes = io::read_file(folder / "video.avi");
  EXPECT_EQ(number_at(bytes, 4), bytes.size() - 8);
  const auto movie = bytes.find("movi");
  const auto index = bytes.find("idx1");
  EXPECT_EQ(number_at(bytes, bytes.find("avih") + 8), 40'000u);  // microseconds a frame
  EXPECT_EQ(number_at(bytes, index + 4), 3 * 16u);
  for (size_t i = 0; i < 3; ++i) {
    const auto offset = movie + number_at(bytes, index + 8 + 16 * i + 8);
    const auto size = number_at(bytes, index + 8 + 16 * i + 12);
    EXPECT_EQ(bytes.substr(offset, 4), "00dc");
    EXPECT_EQ(number_at(bytes, offset + 4), size);
    const auto frame = decode(view_of(bytes.substr(offset + 8, size)), "frame");
    EXPECT_EQ(frame.height(), 16);
    EXPECT_EQ(frame.width(), 24);
  }
}

TEST(PictureFiles, FramesOfAnotherSizeAreRefused) {
  Video video(30);
  EXPECT_THROW(video.write("nowhere.avi"), Error);
  video.add(gradient(4, 4));
  EXPECT_THROW(video.add(gradient(4, 6)), Error);
}

std::string npy(const std::string& description, const std::string& values) {
  std::string header = "{" + description + ", }";
  header.resize(118 - 1, ' ');
  header += '\n';
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header +
         values;
}

class NpyMask : public ::testing::Test {
 protected:
  void write(const std::string& bytes) { io::write_file(file_, bytes); }
  void expect_refusal(const std::string& reason) const {
    try {
      read_npy_mask(file_);
      ADD_FAILURE() << "expected a refusal: " << reason;
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr(file_.string()));
      EXPECT_THAT(error.what(), HasSubstr(reason));
    }
  }
  const testing::TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_ / "mask.npy";
};

TEST_F(NpyMask, IsReadRowByRow) {
  const std::string values("\1\0\0\0\1\1", 6);
  for (const char* type : {"|b1", "|u1"}) {
    write(npy(concat("'descr': '", type, "', 'fortran_order': False, 'shape': (2, 3)"), values));
    EXPECT_TRUE(torch::equal(read_npy_mask(file_),
                             torch::tensor({{true, false, false}, {false, true, true}})));
  }
}

TEST_F(NpyMask, OtherArraysAndDamagedFilesAreRefused) {
  const std::string values(6, '\1');
  write(npy("'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)", values));
  expect_refusal("expected a mask");
  write(npy("'descr': '|b1', 'fortran_order': True, 'shape': (2, 3)", values));
  expect_refusal("expected a mask");
  write(npy("'descr': '|b1', 'fortran_order': False, 'shape': (1, 2, 3)", values));
  expect_refusal("expected a mask");
  write(npy("'descr': '|b1', 'fortran_order': False, 'shape': (2, 4)", values));
  expect_refusal("expected 8 bytes");
  write(npy("'descr': '|b1', 'fortran_order': False, 'shape': (2, 3)", values).substr(0, 40));
  expect_refusal("expected a mask");
  write("");
  expect_refusal("expected a mask");
}

}  // namespace
}  // namespace ibot::data
