#include "ibot/image/resize.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include "data/pictures.h"
#include "ibot/base/error.h"
#include "ibot/image/pixel_ops.h"
#include "support/golden.h"

namespace ibot::data {
namespace {

using testing::Crop;
using testing::difference;
using testing::to_crop;

/// Bytes that malloc has mapped in blocks of their own.
size_t mapped_bytes() { return ::mallinfo2().hblkhd; }

// Every decoding thread has one of these.
TEST(ColumnPlanes, AHugeImageDoesNotHoldItsMemory) {
  const size_t before = mapped_bytes();
  ColumnPlanes planes;
  planes.assign(Image(5000, 8000));
  planes.assign(Image(300, 400));
  EXPECT_LT(mapped_bytes(), before + (size_t{100} << 20));
  EXPECT_EQ(planes.height(), 300);
}

Image gray_row(const std::vector<uint8_t>& values) {
  Image image(1, static_cast<int64_t>(values.size()));
  for (size_t x = 0; x < values.size(); ++x) std::fill_n(image.row(0) + 3 * x, 3, values[x]);
  return image;
}

ResizePlan plan_of(Box box, int64_t height, int64_t width, Filter filter) {
  ResizePlan plan;
  plan.box = box;
  plan.height = height;
  plan.width = width;
  plan.filter = filter;
  return plan;
}

Crop resized(const Image& image, const ResizePlan& plan) {
  ColumnPlanes planes;
  planes.assign(image);
  Crop crop(plan.height, plan.width);
  resized_crop(planes, plan, crop.view());
  return crop;
}

// Triangle weights 1, 3, 3, 1 over 8, cut off at the edge to 3, 3, 1 over 7.
TEST(Resize, BilinearHalvingByHand) {
  auto crop = resized(gray_row({70, 0, 140, 210}), plan_of({0, 0, 1, 4}, 1, 2, Filter::kBilinear));
  EXPECT_EQ(crop.at(0, 0, 0), (3 * 70 + 140) / 7);
  EXPECT_EQ(crop.at(0, 0, 1), 3 * (140 + 210) / 7);
}

TEST(Resize, SameSizeChangesNothing) {
  Crop all = to_crop(testing::read_picture(testing::golden_root() / "08_augment/photo3.jpg"));
  Image image(all.height, all.width);
  for (int64_t y = 0; y < all.height; ++y) {
    for (int64_t x = 0; x < all.width; ++x) {
      for (int64_t c = 0; c < 3; ++c) image.row(y)[3 * x + c] = all.at(c, y, x);
    }
  }
  for (const Filter filter : {Filter::kBilinear, Filter::kBicubic, Filter::kLanczos}) {
    const auto plan = plan_of({0, 0, all.height, all.width}, all.height, all.width, filter);
    EXPECT_EQ(resized(image, plan).pixels, all.pixels);
  }
}

TEST(Resize, FlipIsAFlipOfTheResult) {
  const auto image = testing::read_picture(testing::golden_root() / "08_augment/photo1.jpg");
  auto plan = plan_of({3, 5, 101, 77}, 50, 37, Filter::kBicubic);
  Crop expected = resized(image, plan);
  flip_(expected.view());
  plan.flip = true;
  EXPECT_EQ(resized(image, plan).pixels, expected.pixels);
}

TEST(Resize, AWindowIsAPartOfTheWhole) {
  const auto image = testing::read_picture(testing::golden_root() / "08_augment/photo1.jpg");
  auto plan = plan_of({0, 0, image.height(), image.width()}, 90, 80, Filter::kLanczos);
  Crop whole = resized(image, plan);
  plan.top = 7;
  plan.left = 11;
  ColumnPlanes planes;
  planes.assign(image);
  Crop part(40, 33);
  resized_crop(planes, plan, part.view());
  for (int64_t y = 0; y < 40; ++y) {
    for (int64_t x = 0; x < 33; ++x) ASSERT_EQ(part.at(2, y, x), whole.at(2, y + 7, x + 11));
  }
}

TEST(Resize, PixelsOutsideTheBoxHaveNoInfluence) {
  Image image(9, 9);
  std::fill_n(image.row(0), 3 * 81, 255);
  for (int64_t y = 3; y < 6; ++y) std::fill_n(image.row(y) + 9, 9, 40);
  const auto crop = resized(image, plan_of({3, 3, 3, 3}, 12, 12, Filter::kBicubic));
  EXPECT_EQ(crop.pixels, testing::Bytes(3 * 144, 40));
}

TEST(Resize, OnePixelFillsTheCrop) {
  const auto crop = resized(gray_row({123}), plan_of({0, 0, 1, 1}, 224, 224, Filter::kBicubic));
  EXPECT_EQ(crop.pixels, testing::Bytes(crop.pixels.size(), 123));
}

TEST(Resize, RefusesABoxBeyondTheImage) {
  EXPECT_THROW(resized(gray_row({1, 2}), plan_of({0, 1, 1, 2}, 1, 2, Filter::kBicubic)), Error);
}

TEST(ResizeGolden, CropsAreExact) {
  int compared = 0;
  for (const auto& golden : testing::golden_cases("08_augment")) {
    for (const auto& photo : golden.json.at("photos").elements()) {
      for (const auto& item : photo.at("items").elements()) {
        const std::string op = item.at("op");
        if (!op.starts_with("resized_crop_")) continue;
        const Filter filter = op == "resized_crop_bicubic" ? Filter::kBicubic : Filter::kBilinear;
        const Box box{item["top"], item["left"], item["height"], item["width"]};
        const auto image =
            testing::read_picture(golden.folder / item.at("source").get<std::string>());
        const auto crop = resized(image, plan_of(box, item["size"], item["size"], filter));
        const auto expected =
            to_crop(testing::read_picture(golden.folder / item.at("file").get<std::string>()));
        EXPECT_EQ(difference(crop, expected).max, 0) << item.raw();
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 0);
}

}  // namespace
}  // namespace ibot::data
