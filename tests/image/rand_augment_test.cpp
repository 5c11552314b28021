#include "ibot/image/rand_augment.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "data/pictures.h"
#include "ibot/image/augment.h"
#include "ibot/image/pixel_ops.h"
#include "ibot/image/training_transform.h"
#include "ibot/image/warp.h"
#include "support/golden.h"
#include "support/python.h"

namespace ibot::data {
namespace {

using testing::Bytes;
using testing::Crop;

/// Smooth parts, noise and a constant border.
Crop mixed_picture(int64_t height, int64_t width) {
  Crop crop(height, width);
  Rng rng(height, width, 0, 0);
  for (int64_t c = 0; c < 3; ++c) {
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        const bool noise = x > width / 2;
        const auto smooth = static_cast<uint64_t>(3 * x + 5 * y + 40 * c) % 200 + 20;
        crop.at(c, y, x) = static_cast<uint8_t>(noise ? rng.index(256) : smooth);
        if (y < 3) crop.at(c, y, x) = 77;
      }
    }
  }
  return crop;
}

Bytes interleaved(const Crop& crop) {
  Bytes bytes;
  const int64_t plane = crop.height * crop.width;
  for (int64_t i = 0; i < plane; ++i) {
    for (int64_t c = 0; c < 3; ++c) bytes.push_back(crop.pixels[c * plane + i]);
  }
  return bytes;
}

// Prints one line a case: name, level, sign and the picture in hexadecimal digits.
constexpr const char* kReference = R"(
import sys
from PIL import Image
from timm.data import auto_augment as aa
pixels = bytes.fromhex('PIXELS')
image = Image.frombytes('RGB', (WIDTH, HEIGHT), pixels)
for name in NAMES.split():
    for level in [0.0, 3.3, 7.5, 8.47, 9.0, 9.21, 10.0]:
        for sign in [1, -1]:
            aa._randomly_negate = lambda value: sign * value
            to_argument = aa.LEVEL_TO_ARG[name]
            arguments = to_argument(level, {}) if to_argument else ()
            if name.startswith('Posterize') and arguments[0] == 0:
                continue  # refused from Pillow 13 on
            out = aa.NAME_TO_OP[name](image, *arguments, fillcolor=(124, 116, 104),
                                      resample=Image.BICUBIC)
            print(name, level, sign, out.tobytes().hex())
)";

std::string hexadecimal(const Bytes& bytes) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string replaced(std::string text, const std::string& word, const std::string& value) {
  return text.replace(text.find(word), word.size(), value);
}

std::string reference_program(const Crop& picture) {
  std::string names;
  for (const auto& [operation, name] : EnumNames<RandOperation>::values) {
    names += std::string(name) + " ";
  }
  auto program = replaced(kReference, "PIXELS", hexadecimal(interleaved(picture)));
  program = replaced(program, "WIDTH", std::to_string(picture.width));
  program = replaced(program, "HEIGHT", std::to_string(picture.height));
  return replaced(program, "NAMES", "'" + names + "'");
}

TEST(RandAugment, EveryOperationEqualsTimmToTheLastBit) {
  if (!testing::python_has("timm, PIL")) GTEST_SKIP() << "needs Python with timm and Pillow";
  for (const auto& [height, width] : {std::pair{33, 40}, {24, 24}, {2, 5}}) {
    const auto picture = mixed_picture(height, width);
    std::istringstream lines(testing::python_output(reference_program(picture)));
    int cases = 0;
    std::string name, expected;
    double level = 0;
    int sign = 0;
    for (; lines >> name >> level >> sign >> expected; ++cases) {
      RandOperation operation{};
      ASSERT_TRUE(parse_enum(name, operation)) << name;
      auto crop = picture;
      rand_operation_(crop.view(), operation, level, sign < 0);
      EXPECT_EQ(hexadecimal(interleaved(crop)), expected)
          << name << " at " << level << " sign " << sign << ", " << height << " x " << width;
    }
    EXPECT_EQ(cases, 15 * 7 * 2 - 2);
  }
}

Crop row_of(const std::vector<uint8_t>& values) {
  Crop crop(1, static_cast<int64_t>(values.size()));
  for (int64_t c = 0; c < 3; ++c) std::copy(values.begin(), values.end(), &crop.at(c, 0, 0));
  return crop;
}

Bytes first_plane(const Crop& crop) {
  return {crop.pixels.begin(), crop.pixels.begin() + crop.height * crop.width};
}

// At level 9 one bit is kept, values from 26 on are inverted, and 99 is added below 128.
TEST(RandAugment, ToneOperationsAtLevelNine) {
  const auto after = [](RandOperation operation) {
    auto crop = row_of({0, 25, 26, 127, 128, 255});
    rand_operation_(crop.view(), operation, 9.0, false);
    return first_plane(crop);
  };
  EXPECT_EQ(after(RandOperation::kPosterize), (Bytes{0, 0, 0, 0, 128, 128}));
  EXPECT_EQ(after(RandOperation::kSolarize), (Bytes{0, 25, 229, 128, 127, 0}));
  EXPECT_EQ(after(RandOperation::kSolarizeAdd), (Bytes{99, 124, 125, 226, 128, 255}));
  EXPECT_EQ(after(RandOperation::kInvert), (Bytes{255, 230, 229, 128, 127, 0}));
}

TEST(RandAugment, PosterizeAtTheHighestLevelIsBlack) {
  auto crop = row_of({0, 127, 255});
  rand_operation_(crop.view(), RandOperation::kPosterize, 10.0, false);
  EXPECT_EQ(first_plane(crop), (Bytes{0, 0, 0}));
}

TEST(PixelOps, AutoContrastStretchesEachChannel) {
  auto crop = row_of({50, 100, 150});
  crop.at(1, 0, 0) = crop.at(1, 0, 1) = crop.at(1, 0, 2) = 9;  // one level: left alone
  auto_contrast_(crop.view());
  EXPECT_EQ(first_plane(crop), (Bytes{0, 127, 255}));
  EXPECT_EQ(crop.at(1, 0, 2), 9);
}

TEST(PixelOps, EqualizeLeavesFewPixelsAlone) {
  auto crop = row_of({50, 100, 150});
  equalize_(crop.view());
  EXPECT_EQ(first_plane(crop), (Bytes{50, 100, 150}));
}

TEST(PixelOps, SharpnessOfNothingIsTheSmoothedPicture) {
  Crop crop(3, 3);
  for (int64_t c = 0; c < 3; ++c) crop.at(c, 1, 1) = 130;
  adjust_sharpness_(crop.view(), 0.0);
  EXPECT_EQ(first_plane(crop), (Bytes{0, 0, 0, 0, 50, 0, 0, 0, 0}));
}

// A quarter turn moves whole pixels, so that no interpolation blurs them.
TEST(Warp, TurnsCounterClockwise) {
  Crop crop(2, 2);
  for (int64_t c = 0; c < 3; ++c) crop.at(c, 0, 0) = 200;
  warp_(crop.view(), rotation(90.0, 2, 2), {0, 0, 0});
  EXPECT_EQ(first_plane(crop), (Bytes{0, 0, 200, 0}));
}

TEST(Warp, FillsWhatComesFromOutside) {
  auto crop = row_of({10, 20, 30, 40});
  warp_(crop.view(), {.x0 = 2.0}, {1, 2, 3});
  EXPECT_EQ(first_plane(crop), (Bytes{30, 40, 1, 1}));
  EXPECT_EQ(crop.at(2, 0, 3), 3);
}

TEST(RandAugment, IsAPureFunctionOfTheGenerator) {
  const auto picture = mixed_picture(24, 24);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    auto first = picture, second = picture;
    Rng a(seed, 0, 0, 0), b(seed, 0, 0, 0);
    rand_augment_(first.view(), {}, a);
    rand_augment_(second.view(), {}, b);
    EXPECT_EQ(first.pixels, second.pixels);
  }
}

// Two operations, each left out half of the time: a quarter of the pictures stays, and those that a
// drawn operation happens not to change.
TEST(RandAugment, LeavesAboutAQuarterAlone) {
  const auto picture = mixed_picture(16, 16);
  int unchanged = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    auto crop = picture;
    Rng rng(seed, 0, 0, 0);
    rand_augment_(crop.view(), {}, rng);
    unchanged += crop.pixels == picture.pixels ? 1 : 0;
  }
  EXPECT_GT(unchanged, 210);
  EXPECT_LT(unchanged, 340);
}

TEST(TrainingTransform, WithoutAnyChangeIsTheResizedImage) {
  const Image image = testing::read_picture(testing::golden_root() / "08_augment/photo1.jpg");
  TrainingTransformOptions options;
  options.size = 32;
  options.scale = {1.0, 1.0};
  options.flip_prob = 0.0;
  options.rand_operations = 0;
  options.color_jitter = 0.0;
  for (const Filter filter : {Filter::kBilinear, Filter::kBicubic}) {
    options.filter = filter;
    Crop crop(32, 32), expected(32, 32);
    Rng rng(0, 0, 0, kCrop), same(0, 0, 0, kCrop);
    training_transform(image, options, rng, crop.view());
    ResizePlan plan;
    plan.box = sample_box(image.height(), image.width(), options.scale, same);
    plan.height = plan.width = 32;
    plan.filter = filter;
    ColumnPlanes planes;
    planes.assign(image);
    resized_crop(planes, plan, expected.view());
    EXPECT_EQ(crop.pixels, expected.pixels);
  }
}

TEST(TrainingTransform, JittersOnlyWithoutRandAugment) {
  const Image image(20, 20);
  TrainingTransformOptions options;
  options.size = 16;
  options.rand_operations = 0;
  std::fill_n(const_cast<Image&>(image).row(0), 3 * 20 * 20, uint8_t{100});
  std::map<int, int> levels;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Crop crop(16, 16);
    Rng rng(seed, 0, 0, kCrop);
    training_transform(image, options, rng, crop.view());
    // Gray stays gray, its brightness within 1 -+ 0.4.
    EXPECT_EQ(crop.at(0, 3, 3), crop.at(2, 3, 3));
    ++levels[crop.at(0, 3, 3)];
  }
  EXPECT_GE(levels.begin()->first, 58);
  EXPECT_LE(levels.rbegin()->first, 140);
  EXPECT_GT(levels.size(), 40U);
}

TEST(TrainingTransform, RefusesAnotherSize) {
  Crop crop(16, 16);
  Rng rng(0, 0, 0, kCrop);
  EXPECT_THROW(training_transform(Image(20, 20), {}, rng, crop.view()), Error);
}

}  // namespace
}  // namespace ibot::data
