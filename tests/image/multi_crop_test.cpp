#include "ibot/image/multi_crop.h"

#include <gtest/gtest.h>

#include "data/pictures.h"
#include "ibot/base/error.h"
#include "support/golden.h"

namespace ibot::data {
namespace {

using testing::Crop;

AugmentOptions small_crops() {
  AugmentOptions options;
  options.global_size = 32;
  options.local_size = 16;
  options.local_crops = 2;
  return options;
}

std::vector<Crop> crops_of(const AugmentOptions& options, const SampleKey& key,
                           const std::string& file = "photo0.jpg") {
  const auto image = testing::read_picture(testing::golden_root() / "08_augment" / file);
  std::vector<Crop> crops;
  for (int64_t i = 0; i < options.global_crops + options.local_crops; ++i) {
    const int64_t side = i < options.global_crops ? options.global_size : options.local_size;
    crops.emplace_back(side, side);
  }
  std::vector<CropView> views;
  for (auto& crop : crops) views.push_back(crop.view());
  multi_crop(image, options, key, views);
  return crops;
}

TEST(MultiCrop, IsAFunctionOfTheKey) {
  const auto first = crops_of(small_crops(), {1, 2, 3});
  crops_of(small_crops(), {1, 2, 4}, "photo1.jpg");
  const auto again = crops_of(small_crops(), {1, 2, 3});
  for (size_t i = 0; i < first.size(); ++i) EXPECT_EQ(first[i].pixels, again[i].pixels);
  for (const SampleKey other : {SampleKey{2, 2, 3}, SampleKey{1, 3, 3}, SampleKey{1, 2, 4}}) {
    EXPECT_NE(crops_of(small_crops(), other)[0].pixels, first[0].pixels);
  }
}

TEST(MultiCrop, CropsDifferFromEachOther) {
  const auto crops = crops_of(small_crops(), {1, 2, 3});
  EXPECT_NE(crops[0].pixels, crops[1].pixels);
  EXPECT_NE(crops[2].pixels, crops[3].pixels);
}

// A crop's numbers are its own: more local crops leave the earlier ones as they were.
TEST(MultiCrop, FurtherCropsDoNotDisturbTheFirst) {
  auto more = small_crops();
  more.local_crops = 5;
  const auto few = crops_of(small_crops(), {1, 2, 3});
  const auto many = crops_of(more, {1, 2, 3});
  for (size_t i = 0; i < few.size(); ++i) EXPECT_EQ(few[i].pixels, many[i].pixels);
}

// Cutting out the place that is told and resizing it gives the crop, where nothing else is changed.
TEST(MultiCrop, TellsWhereEachCropLies) {
  auto options = small_crops();
  options.jitter_prob = options.grayscale_prob = options.solarize_prob = 0;
  options.blur_prob_first = options.blur_prob_second = options.blur_prob_local = 0;
  const auto image = testing::read_picture(testing::golden_root() / "08_augment" / "photo0.jpg");
  ColumnPlanes planes;
  planes.assign(image);
  int flipped = 0;
  for (uint64_t sample = 0; sample < 4; ++sample) {
    auto crops = crops_of(options, {1, 2, sample});
    std::vector<CropView> views;
    for (auto& crop : crops) views.push_back(crop.view());
    const auto before = crops;
    const auto places = multi_crop(image, options, {1, 2, sample}, views);
    ASSERT_EQ(places.size(), crops.size());
    for (size_t i = 0; i < crops.size(); ++i) {
      const int64_t side = i < 2 ? options.global_size : options.local_size;
      Crop expected(side, side);
      resized_crop(planes,
                   {.box = places[i].box, .height = side, .width = side, .flip = places[i].flip},
                   expected.view());
      EXPECT_EQ(before[i].pixels, expected.pixels);
      flipped += places[i].flip;
    }
  }
  EXPECT_GT(flipped, 0);
}

TEST(MultiCrop, RefusesAnotherNumberOfCrops) {
  Crop crop(32, 32);
  const std::vector<CropView> one{crop.view()};
  EXPECT_THROW(multi_crop(Image(4, 4), small_crops(), {}, one), Error);
}

}  // namespace
}  // namespace ibot::data
