#include "ibot/image/augment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "data/pictures.h"
#include "support/golden.h"

namespace ibot::data {
namespace {

using testing::Crop;
using testing::ReadJson;

TEST(Augment, AnImageOfOnePixelIsItsOwnBox) {
  for (uint64_t sample = 0; sample < 50; ++sample) {
    Rng rng(0, 0, sample, kCrop);
    const Box box = sample_box(1, 1, {0.05, 0.25}, rng);
    EXPECT_EQ(box.height, 1);
    EXPECT_EQ(box.width, 1);
    EXPECT_EQ(box.top, 0);
    EXPECT_EQ(box.left, 0);
  }
}

AugmentOptions plain() {
  AugmentOptions options;
  options.flip_prob = options.jitter_prob = options.grayscale_prob = 0;
  options.blur_prob_first = options.blur_prob_second = options.blur_prob_local = 0;
  options.solarize_prob = 0;
  return options;
}

Crop cropped(View view, const AugmentOptions& options, uint64_t sample) {
  static const Image image =
      testing::read_picture(testing::golden_root() / "08_augment/photo1.jpg");
  ColumnPlanes planes;
  planes.assign(image);
  Rng rng(1, 2, sample, kCrop);
  Crop crop(24, 24);
  augmented_crop(planes, view, options, rng, crop.view());
  return crop;
}

/// How many of many crops one option changes.
double changed_share(View view, double AugmentOptions::*probability, double value) {
  auto options = plain();
  options.*probability = value;
  constexpr int kCrops = 1000;
  int changed = 0;
  for (uint64_t sample = 0; sample < kCrops; ++sample) {
    changed += cropped(view, options, sample).pixels != cropped(view, plain(), sample).pixels;
  }
  return static_cast<double>(changed) / kCrops;
}

// Five deviations of a binomial of 1000 draws are below 0.08.
TEST(Augment, EachStepComesAsOftenAsItsProbabilitySays) {
  EXPECT_NEAR(changed_share(View::kLocal, &AugmentOptions::flip_prob, 0.5), 0.5, 0.08);
  EXPECT_NEAR(changed_share(View::kLocal, &AugmentOptions::jitter_prob, 0.8), 0.8, 0.08);
  EXPECT_NEAR(changed_share(View::kLocal, &AugmentOptions::grayscale_prob, 0.2), 0.2, 0.08);
  EXPECT_NEAR(changed_share(View::kOtherGlobal, &AugmentOptions::solarize_prob, 0.2), 0.2, 0.08);
}

// A blur of less than a third of a pixel may change nothing: hence the lower bound.
TEST(Augment, BlurDependsOnTheView) {
  EXPECT_GT(changed_share(View::kFirstGlobal, &AugmentOptions::blur_prob_first, 1.0), 0.9);
  EXPECT_EQ(changed_share(View::kFirstGlobal, &AugmentOptions::blur_prob_second, 1.0), 0);
  EXPECT_NEAR(changed_share(View::kOtherGlobal, &AugmentOptions::blur_prob_second, 0.1), 0.1, 0.08);
  EXPECT_NEAR(changed_share(View::kLocal, &AugmentOptions::blur_prob_local, 0.5), 0.5, 0.08);
}

TEST(Augment, OnlyOtherGlobalCropsAreSolarized) {
  EXPECT_EQ(changed_share(View::kFirstGlobal, &AugmentOptions::solarize_prob, 1.0), 0);
  EXPECT_EQ(changed_share(View::kLocal, &AugmentOptions::solarize_prob, 1.0), 0);
}

double quantile(std::vector<double>& sorted, double percent) {
  const double position = percent / 100 * static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<size_t>(std::nearbyint(position))];
}

/// Mean and quantiles within 1.5 % of the range, as the goldens state.
void expect_alike(std::vector<double> drawn, const ReadJson& expected, const std::string& what) {
  std::sort(drawn.begin(), drawn.end());
  double mean = 0;
  for (const double value : drawn) mean += value / static_cast<double>(drawn.size());
  if (expected.contains("std")) {
    double variance = 0;
    for (const double value : drawn) {
      variance += (value - mean) * (value - mean) / static_cast<double>(drawn.size());
    }
    EXPECT_NEAR(std::sqrt(variance), expected.at("std"), 0.015) << what;
  }
  if (!expected.contains("quantiles")) {
    EXPECT_NEAR(mean, expected.at("mean"), 0.015) << what;
    return;
  }
  const auto quantiles = expected.at("quantiles");
  const double range = quantiles.at("100").get<double>() - quantiles.at("0").get<double>();
  // Numbers of pixels are whole: their quantiles cannot agree more closely than one.
  const double resolution = range > 2 ? 1 : 0;
  const double tolerance = std::max(0.015 * range, resolution) + 1e-9;
  EXPECT_NEAR(mean, expected.at("mean"), tolerance) << what;
  for (const auto& [percent, value] : quantiles.items()) {
    // The extremes of finitely many draws scatter more.
    if (percent == "0" || percent == "100") continue;
    EXPECT_NEAR(quantile(drawn, std::stod(percent)), value, tolerance) << what << ' ' << percent;
  }
}

void compare_boxes(const ReadJson& item) {
  const int64_t width = item["image_WxH"][0];
  const int64_t height = item["image_WxH"][1];
  testing::expect_built_in(item["ratio"], std::vector{3.0 / 4, 4.0 / 3});
  const auto fallback = item["fallback_box_hw"].get<std::vector<int64_t>>();
  std::vector<double> area, aspect, heights, widths, top, left;
  const auto samples = item["samples"].get<uint64_t>();
  double fallbacks = 0;
  for (uint64_t sample = 0; sample < samples; ++sample) {
    Rng rng(11, 0, sample, kCrop);
    const Box box = sample_box(height, width, item["scale"], rng);
    area.push_back(static_cast<double>(box.height * box.width) /
                   static_cast<double>(height * width));
    aspect.push_back(std::log(static_cast<double>(box.width) / static_cast<double>(box.height)));
    heights.push_back(static_cast<double>(box.height));
    widths.push_back(static_cast<double>(box.width));
    const auto relative = [](int64_t offset, int64_t room) {
      return static_cast<double>(offset) / static_cast<double>(std::max<int64_t>(room, 1));
    };
    top.push_back(relative(box.top, height - box.height));
    left.push_back(relative(box.left, width - box.width));
    const bool central = box.height == fallback[0] && box.width == fallback[1] &&
                         box.top == (height - box.height) / 2 &&
                         box.left == (width - box.width) / 2;
    fallbacks += central;
  }
  const std::string what = item["image_WxH"].raw().dump() + item["scale"].raw().dump();
  expect_alike(area, item["area_fraction"], what + " area");
  expect_alike(aspect, item["log_aspect"], what + " aspect");
  expect_alike(heights, item["height"], what + " height");
  expect_alike(widths, item["width"], what + " width");
  expect_alike(top, item["top_relative"], what + " top");
  expect_alike(left, item["left_relative"], what + " left");
  EXPECT_NEAR(fallbacks / static_cast<double>(samples), item["p_fallback_box"], 0.015) << what;
}

TEST(AugmentGolden, BoxesAreDistributedAlike) {
  int compared = 0;
  for (const auto& golden : testing::golden_cases("08_augment")) {
    for (const auto& item : golden.json.at("random_resized_crop").elements()) {
      compare_boxes(item);
      ++compared;
    }
    golden.json.expect_all_read({"photos", "edge_cases", "random_resized_crop_rule",
                                 "augmentation_recipe", "expected_agreement"});
  }
  EXPECT_GT(compared, 0);
}

/// The fields of an item besides its files: what the tests of that operation read.
std::set<std::string> fields_of(const std::string& operation) {
  static const std::map<std::string, std::set<std::string>> kFields{
      {"resized_crop_bicubic", {"top", "left", "height", "width", "size"}},
      {"resized_crop_bilinear", {"top", "left", "height", "width", "size"}},
      {"hflip", {}},
      {"adjust_brightness", {"factor"}},
      {"adjust_contrast", {"factor"}},
      {"adjust_saturation", {"factor"}},
      {"adjust_hue", {"factor"}},
      {"color_jitter_chain", {"order", "factors"}},
      {"grayscale3", {}},
      {"gaussian_blur_pil", {"radius"}},
      {"solarize", {"threshold"}},
      {"pipeline", {"steps", "factors"}},
      {"normalize", {"mean", "std"}}};
  if (operation.starts_with("eval_resize")) return {"resized_size_WxH"};
  const auto found = kFields.find(operation);
  EXPECT_NE(found, kFields.end()) << operation << ": an operation that no test knows";
  return found == kFields.end() ? std::set<std::string>{} : found->second;
}

// Each kind of item has a test of its own, in the file of its operation, that would pass by a new
// kind.
TEST(AugmentGolden, EveryKindAndFieldHasATest) {
  for (const auto& golden : testing::golden_cases("08_augment")) {
    for (const auto& photo : golden.json.at("photos").elements()) {
      for (const auto& item : photo.at("items").elements()) {
        const auto known = fields_of(item["op"]);
        for (const auto& [field, value] : item.items()) {
          const bool file = field == "op" || field == "file" || field == "source";
          if (file || known.count(field) > 0) value.get<nlohmann::json>();
        }
      }
      for (const auto* field : {"jpeg", "size_WxH", "mode_in_file", "decoded"}) {
        photo.at(field).get<nlohmann::json>();
      }
    }
    for (const auto& edge : golden.json.at("edge_cases").elements()) {
      for (const auto* field : {"file", "decoded", "mode_in_file", "size_WxH"}) {
        if (edge.contains(field)) edge.at(field).get<nlohmann::json>();
      }
    }
    golden.json.expect_all_read({"random_resized_crop", "random_resized_crop_rule",
                                 "augmentation_recipe", "expected_agreement"});
  }
}

}  // namespace
}  // namespace ibot::data
