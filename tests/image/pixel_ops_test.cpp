#include "ibot/image/pixel_ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>

#include "data/pictures.h"
#include "ibot/batch/normalization.h"
#include "support/expect_tensor.h"
#include "support/golden.h"

namespace ibot::data {
namespace {

using testing::Crop;
using testing::difference;
using testing::to_crop;

Crop pixel(uint8_t red, uint8_t green, uint8_t blue) {
  Crop crop(1, 1);
  crop.pixels = {red, green, blue};
  return crop;
}

// 200 * 0.6 = 120; 0.83 * 100 = 83 less a rounding error, truncated.
TEST(PixelOps, BrightnessScalesTruncatesAndClips) {
  auto crop = pixel(200, 100, 3);
  adjust_brightness_(crop.view(), 0.6);
  EXPECT_EQ(crop.pixels, (testing::Bytes{120, 60, 1}));
  adjust_brightness_(crop.view(), 4.0);
  EXPECT_EQ(crop.pixels, (testing::Bytes{255, 240, 4}));
}

// Gray values 0 and 255 have mean 127.5, rounded up to 128.
TEST(PixelOps, ContrastBlendsWithTheRoundedMean) {
  Crop crop(1, 2);
  crop.pixels = {0, 255, 0, 255, 0, 255};
  adjust_contrast_(crop.view(), 0.0);
  EXPECT_EQ(crop.pixels, testing::Bytes(6, 128));
}

TEST(PixelOps, GrayWeighsTheChannels) {
  auto crop = pixel(255, 0, 0);
  to_grayscale_(crop.view());
  EXPECT_EQ(crop.pixels, testing::Bytes(3, 76));
  auto other = pixel(255, 0, 0);
  adjust_saturation_(other.view(), 0.0);
  EXPECT_EQ(other.pixels, testing::Bytes(3, 76));
}

// 8-bit hue: 0.5 * 255 is 127 after truncation, a little less than half the circle.
TEST(PixelOps, HalfTheCircleTurnsRedToAlmostCyan) {
  auto crop = pixel(255, 0, 0);
  adjust_hue_(crop.view(), 0.5);
  EXPECT_EQ(crop.pixels, (testing::Bytes{0, 255, 252}));
}

TEST(PixelOps, HueLeavesGrayAlone) {
  Crop crop(16, 16);
  for (int i = 0; i < 256; ++i) {
    for (int c = 0; c < 3; ++c) crop.pixels[c * 256 + i] = static_cast<uint8_t>(i);
  }
  const Crop before = crop;
  adjust_hue_(crop.view(), 0.3);
  EXPECT_EQ(crop.pixels, before.pixels);
}

/// One pixel through 8-bit HSV, by the definition, in the types that Pillow uses.
std::array<int, 3> turned(int r, int g, int b, int turn) {
  const int value = std::max({r, g, b});
  const int range = value - std::min({r, g, b});
  int hue = 0;
  int saturation = 0;
  if (range > 0) {
    const auto distance = [&](int c) {
      return static_cast<float>(value - c) / static_cast<float>(range);
    };
    float sector = 0;
    if (r == value) {
      sector = distance(b) - distance(g);
    } else if (g == value) {
      sector = static_cast<float>(2.0 + distance(r) - distance(b));
    } else {
      sector = static_cast<float>(4.0 + distance(g) - distance(r));
    }
    sector = static_cast<float>(std::fmod(sector / 6.0 + 1.0, 1.0));
    hue = static_cast<int>(sector * 255.0);
    saturation = static_cast<int>(static_cast<float>(range) / static_cast<float>(value) * 255.0);
  }
  hue = (hue + turn + 256) % 256;
  if (saturation == 0) return {value, value, value};
  const auto angle = static_cast<float>(hue * 6.0 / 255.0);
  const auto strength = static_cast<float>(saturation / 255.0);
  const int sixth = static_cast<int>(std::floor(angle));
  const float fraction = angle - static_cast<float>(sixth);
  const int p = static_cast<int>(std::round(value * (1.0 - strength)));
  const int q = static_cast<int>(std::round(value * (1.0 - strength * fraction)));
  const int t = static_cast<int>(std::round(value * (1.0 - strength * (1.0 - fraction))));
  switch (sixth % 6) {
    case 0:
      return {value, t, p};
    case 1:
      return {q, value, p};
    case 2:
      return {p, value, t};
    case 3:
      return {p, q, value};
    case 4:
      return {t, p, value};
    default:
      return {value, p, q};
  }
}

// All 2^24 colors: whatever the loop does to be fast, no color may differ.
TEST(PixelOps, HueOfEveryColorFollowsTheDefinition) {
  int64_t wrong = 0;
  Crop crop(256, 256);
  for (int r = 0; r < 256; ++r) {
    for (int i = 0; i < 65536; ++i) {
      crop.pixels[i] = static_cast<uint8_t>(r);
      crop.pixels[65536 + i] = static_cast<uint8_t>(i >> 8);
      crop.pixels[131072 + i] = static_cast<uint8_t>(i);
    }
    const int turn = r % 51 - 25;
    adjust_hue_(crop.view(), (turn + (turn < 0 ? -0.5 : 0.5)) / 255.0);
    for (int i = 0; i < 65536; ++i) {
      const std::array<int, 3> got{crop.pixels[i], crop.pixels[65536 + i], crop.pixels[131072 + i]};
      wrong += got != turned(r, i >> 8, i & 255, turn);
    }
  }
  EXPECT_EQ(wrong, 0);
}

TEST(PixelOps, SolarizeInvertsFromTheThresholdOn) {
  auto crop = pixel(127, 128, 255);
  solarize_(crop.view());
  EXPECT_EQ(crop.pixels, (testing::Bytes{127, 127, 0}));
}

TEST(PixelOps, FlipMirrorsEachRow) {
  Crop crop(2, 2);
  crop.pixels = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  flip_(crop.view());
  EXPECT_EQ(crop.pixels, (testing::Bytes{2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11}));
}

// A constant image has nothing to blur, whatever the filter's reach or the image's size.
TEST(PixelOps, BlurKeepsConstants) {
  for (const double radius : {0.1, 1.0, 2.0, 5.0}) {
    for (const int64_t side : {1, 2, 3, 33}) {
      Crop crop(side, side);
      std::fill(crop.pixels.begin(), crop.pixels.end(), 77);
      gaussian_blur_(crop.view(), radius);
      EXPECT_EQ(crop.pixels, testing::Bytes(crop.pixels.size(), 77)) << radius << ' ' << side;
    }
  }
}

TEST(PixelOps, BlurSpreadsAPointWithTheGivenDeviation) {
  Crop crop(41, 41);
  crop.at(0, 20, 20) = 255;
  for (int y = 19; y <= 21; ++y) {
    for (int x = 19; x <= 21; ++x) crop.at(1, y, x) = 255;
  }
  gaussian_blur_(crop.view(), 2.0);
  double sum = 0;
  double square = 0;
  for (int y = 0; y < 41; ++y) {
    for (int x = 0; x < 41; ++x) {
      sum += crop.at(1, y, x);
      square += crop.at(1, y, x) * (x - 20.0) * (x - 20.0);
    }
  }
  // The square itself has variance 2/3.
  EXPECT_NEAR(square / sum, 4.0 + 2.0 / 3.0, 0.3);
}

using Json = testing::ReadJson;

void apply(Crop& crop, const std::string& step, const Json& factors) {
  const auto view = crop.view();
  if (step == "hflip") return flip_(view);
  if (step == "brightness") return adjust_brightness_(view, factors.at(step));
  if (step == "contrast") return adjust_contrast_(view, factors.at(step));
  if (step == "saturation") return adjust_saturation_(view, factors.at(step));
  if (step == "hue") return adjust_hue_(view, factors.at(step));
  if (step.starts_with("blur ")) return gaussian_blur_(view, std::stod(step.substr(5)));
  if (step.starts_with("solarize ")) return solarize_(view, std::stoi(step.substr(9)));
  throw Error("unknown step " + step);
}

const std::map<std::string, std::function<void(Crop&, const Json&)>> kOperations{
    {"hflip", [](Crop& crop, const Json&) { flip_(crop.view()); }},
    {"adjust_brightness",
     [](Crop& crop, const Json& item) { adjust_brightness_(crop.view(), item["factor"]); }},
    {"adjust_contrast",
     [](Crop& crop, const Json& item) { adjust_contrast_(crop.view(), item["factor"]); }},
    {"adjust_saturation",
     [](Crop& crop, const Json& item) { adjust_saturation_(crop.view(), item["factor"]); }},
    {"adjust_hue", [](Crop& crop, const Json& item) { adjust_hue_(crop.view(), item["factor"]); }},
    {"grayscale3", [](Crop& crop, const Json&) { to_grayscale_(crop.view()); }},
    {"gaussian_blur_pil",
     [](Crop& crop, const Json& item) { gaussian_blur_(crop.view(), item["radius"]); }},
    {"solarize", [](Crop& crop, const Json& item) { solarize_(crop.view(), item["threshold"]); }},
    {"color_jitter_chain",
     [](Crop& crop, const Json& item) {
       for (const auto& step : item["order"].get<std::vector<std::string>>()) {
         apply(crop, step, item["factors"]);
       }
     }},
    {"pipeline",
     [](Crop& crop, const Json& item) {
       for (const auto& step : item["steps"].get<std::vector<std::string>>()) {
         apply(crop, step, item["factors"]);
       }
     }},
};

TEST(PixelOpsGolden, EveryOperationIsExact) {
  int compared = 0;
  for (const auto& golden : testing::golden_cases("08_augment")) {
    for (const auto& photo : golden.json.at("photos").elements()) {
      for (const auto& item : photo.at("items").elements()) {
        const auto operation = kOperations.find(item.at("op"));
        if (operation == kOperations.end()) continue;
        Crop crop =
            to_crop(testing::read_picture(golden.folder / item.at("source").get<std::string>()));
        operation->second(crop, item);
        const Crop expected =
            to_crop(testing::read_picture(golden.folder / item.at("file").get<std::string>()));
        EXPECT_EQ(difference(crop, expected).max, 0) << item.raw();
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 0);
}

TEST(PixelOpsGolden, NormalizationAgrees) {
  for (const auto& golden : testing::golden_cases("08_augment")) {
    for (const auto& photo : golden.json.at("photos").elements()) {
      for (const auto& item : photo.at("items").elements()) {
        if (item.at("op").get<std::string>() != "normalize") continue;
        const auto expected =
            io::read_safetensors(golden.folder / item.at("file").get<std::string>()).tensors;
        for (const auto& source : item.at("source").get<std::vector<std::string>>()) {
          Crop crop = to_crop(testing::read_picture(golden.folder / source));
          const auto pixels =
              torch::from_blob(crop.pixels.data(), {3, crop.height, crop.width}, torch::kByte);
          const batch::Normalization statistics{item.at("mean"), item.at("std")};
          const auto got = batch::normalized(pixels, statistics);
          bool found = false;
          for (const auto& [name, tensor] : expected) {
            found = found || bool(testing::near(got, tensor, {0, 1e-6}));
          }
          EXPECT_TRUE(found) << source;
        }
      }
    }
  }
}

}  // namespace
}  // namespace ibot::data
