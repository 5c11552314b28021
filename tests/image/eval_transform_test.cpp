#include "ibot/image/eval_transform.h"

#include <gtest/gtest.h>

#include "data/pictures.h"
#include "ibot/base/error.h"
#include "support/golden.h"

namespace ibot::data {
namespace {

using testing::Crop;
using testing::to_crop;

Crop transformed(const Image& image, const EvalTransformOptions& options) {
  Crop crop(options.crop_size, options.crop_size);
  eval_transform(image, options, crop.view());
  return crop;
}

// (5 - 2) / 2 = 1.5 rounds to 2, (3 - 2) / 2 = 0.5 to 0: half to even.
TEST(EvalTransform, CenterOffsetsRoundHalfToEven) {
  Image image(3, 5);
  for (int i = 0; i < 15; ++i) std::fill_n(image.row(0) + 3 * i, 3, static_cast<uint8_t>(i));
  const auto crop = transformed(image, {3, 2, Filter::kBicubic});
  EXPECT_EQ(testing::Bytes(crop.pixels.begin(), crop.pixels.begin() + 4),
            (testing::Bytes{2, 3, 7, 8}));
}

TEST(EvalTransform, TakesLongThinImages) {
  Image image(1, 20000);
  std::fill_n(image.row(0), 60000, 9);
  EXPECT_EQ(transformed(image, {}).pixels, testing::Bytes(3 * 224 * 224, 9));
}

TEST(EvalTransform, RefusesACropLargerThanTheImage) {
  EXPECT_THROW(transformed(Image(4, 4), {32, 33, Filter::kBicubic}), Error);
}

TEST(EvalTransformGolden, CropsAreExact) {
  int compared = 0;
  for (const auto& golden : testing::golden_cases("08_augment")) {
    for (const auto& photo : golden.json.at("photos").elements()) {
      for (const auto& item : photo.at("items").elements()) {
        const std::string op = item.at("op");
        // Such as eval_resize256_bicubic_centercrop224.
        if (!op.starts_with("eval_resize")) continue;
        EvalTransformOptions options;
        options.resize_size = std::stoll(op.substr(11));
        options.crop_size = std::stoll(op.substr(op.find("centercrop") + 10));
        options.filter = op.find("bicubic") != op.npos ? Filter::kBicubic : Filter::kBilinear;
        const auto image =
            testing::read_picture(golden.folder / item.at("source").get<std::string>());
        const auto expected =
            to_crop(testing::read_picture(golden.folder / item.at("file").get<std::string>()));
        EXPECT_EQ(testing::difference(transformed(image, options), expected).max, 0) << item.raw();
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 0);
}

}  // namespace
}  // namespace ibot::data
