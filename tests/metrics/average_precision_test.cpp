#include "ibot/metrics/average_precision.h"

#include <gtest/gtest.h>

#include "support/golden.h"

namespace ibot::metrics {
namespace {

using ::ibot::testing::dense_case;
using Json = ::ibot::testing::ReadJson;
using ::ibot::testing::near;
using ::ibot::testing::read_json;
using ::ibot::testing::Tolerance;

RunLengthMask mask_of(const Json& segmentation, int64_t height, int64_t width) {
  if (segmentation.is_array()) {
    std::vector<RunLengthMask> parts;
    for (const auto& outline : segmentation.elements()) {
      parts.push_back(runs_of_polygon(outline.get<std::vector<double>>(), height, width));
    }
    return merge_runs(parts);
  }
  const auto& counts = segmentation["counts"];
  if (counts.raw().is_string()) return runs_from_text(counts.get<std::string>(), height, width);
  return {height, width, counts.get<std::vector<uint32_t>>()};
}

class AveragePrecisionDense : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto annotations = read("annotations");
    for (const auto& image : annotations["images"].elements()) {
      images_.push_back(image["id"]);
      sizes_[image["id"]] = {image["height"], image["width"]};
    }
    for (const auto& category : annotations["categories"].elements())
      categories_.push_back(category["id"]);
    for (const auto& annotation : annotations["annotations"].elements()) {
      const int64_t image = annotation["image_id"];
      const auto [height, width] = sizes_.at(image);
      truths_.push_back({.image = image,
                         .category = annotation["category_id"],
                         .box = annotation["bbox"].get<Box>(),
                         .mask = mask_of(annotation["segmentation"], height, width),
                         .area = annotation["area"],
                         .crowd = annotation["iscrowd"].get<int>() != 0});
      ids_.push_back(annotation["id"]);
    }
  }

  /// `key` of the results says what is compared and how large a detection counts.
  std::vector<Detection> detections(const std::string& key) const {
    const bool masks = key.starts_with("segm");
    const auto boxes = read("detections_bbox");
    const auto given = masks ? read("detections_segm") : boxes;
    std::vector<Detection> all;
    for (size_t i = 0; i < given.size(); ++i) {
      const auto& item = given[i];
      const int64_t image = item["image_id"];
      Detection detection{.image = image, .category = item["category_id"], .score = item["score"]};
      if (masks) {
        const auto [height, width] = sizes_.at(image);
        detection.mask = mask_of(item["segmentation"], height, width);
        detection.area = static_cast<double>(area_of(detection.mask));
      }
      if (!masks || key == "segm_sized_by_box") {
        detection.box = boxes[i]["bbox"].get<Box>();
        detection.area = detection.box[2] * detection.box[3];
      }
      all.push_back(detection);
    }
    return all;
  }

  AveragePrecision evaluate(const std::string& key) const {
    return average_precision(
        truths_, detections(key), images_, categories_,
        {.shape = key.starts_with("segm") ? Shape::kMask : Shape::kBox,
         .limits = golden_.json["results"][key]["max_dets"].get<std::vector<int64_t>>(),
         .by_category = key != "proposals"});
  }

  Json read(const std::string& name) const { return read_json(golden_.folder / (name + ".json")); }

  const testing::GoldenCase golden_ = dense_case("03_coco_eval", "expected");
  const double atol_ = golden_.json["tolerance"]["atol"];
  std::vector<int64_t> images_;
  std::map<int64_t, std::pair<int64_t, int64_t>> sizes_;
  std::vector<int64_t> categories_;
  std::vector<Truth> truths_;
  std::vector<int64_t> ids_;
};

TEST_F(AveragePrecisionDense, TheTwelveNumbersAreTheSame) {
  for (const auto& [key, expected] : golden_.json["results"].items()) {
    SCOPED_TRACE(key);
    const auto found = evaluate(key);
    const auto numbers = found.summary();
    for (size_t i = 0; i < numbers.size(); ++i) {
      EXPECT_NEAR(numbers[i], expected["values"][i].get<double>(), atol_)
          << golden_.json["names"][i].get<std::string>();
    }
    if (!expected.contains("per_category_AP")) continue;
    for (size_t i = 0; i < found.categories.size(); ++i) {
      const auto& ap = expected["per_category_AP"][std::to_string(found.categories[i])];
      EXPECT_NEAR(found.category_ap(static_cast<int64_t>(i)), ap.is_null() ? -1 : ap.get<double>(),
                  atol_);
    }
  }
}

TEST_F(AveragePrecisionDense, PrecisionAndRecallAreTheSame) {
  const auto tensors = golden_.tensors();
  for (const std::string key : {"bbox", "segm"}) {
    SCOPED_TRACE(key);
    const auto found = evaluate(key);
    const auto hundred = std::find(found.limits.begin(), found.limits.end(), 100);
    EXPECT_TRUE(near(found.precision.select(4, hundred - found.limits.begin()).select(3, 0),
                     tensors.at(key + ".precision"), Tolerance{0, atol_}));
    EXPECT_TRUE(near(found.recall, tensors.at(key + ".recall"), Tolerance{0, atol_}));
  }
}

TEST_F(AveragePrecisionDense, MatchesAreTheSame) {
  const auto all = detections("bbox");
  for (const auto& item : golden_.json["matching_examples"]["items"].elements()) {
    SCOPED_TRACE(item.raw().dump());
    const auto here = [&](const auto& object) {
      return object.image == item["image_id"].get<int64_t>() &&
             object.category == item["category_id"].get<int64_t>();
    };
    std::vector<Detection> found;
    std::copy_if(all.begin(), all.end(), std::back_inserter(found), here);
    std::stable_sort(found.begin(), found.end(),
                     [](const auto& a, const auto& b) { return a.score > b.score; });
    std::vector<double> scores;
    for (const auto& detection : found) scores.push_back(detection.score);
    EXPECT_EQ(scores, item["dt_scores"].get<std::vector<double>>());
    std::vector<Box> found_boxes, truth_boxes;
    std::vector<double> found_areas, truth_areas;
    std::vector<bool> crowd;
    std::vector<double> ids;
    for (const auto& detection : found) {
      found_boxes.push_back(detection.box);
      found_areas.push_back(detection.area);
    }
    for (size_t i = 0; i < truths_.size(); ++i) {
      if (!here(truths_[i])) continue;
      truth_boxes.push_back(truths_[i].box);
      truth_areas.push_back(truths_[i].area);
      crowd.push_back(truths_[i].crowd);
      ids.push_back(static_cast<double>(ids_[i]));
    }
    for (const auto& [threshold, suffix] : {std::pair{0, "50"}, {5, "75"}}) {
      const auto matches =
          match(overlaps(found_boxes, truth_boxes, crowd), found_areas, truth_areas, crowd,
                area_ranges().front(), overlap_thresholds()[threshold]);
      std::vector<double> matched;
      for (const auto& truth : matches.truth) matched.push_back(truth ? ids[*truth] : 0);
      EXPECT_EQ(matched, item[std::string("dt_matches_at_") + suffix].get<std::vector<double>>());
      if (threshold != 0) continue;
      const std::vector<int> ignored(matches.ignored.begin(), matches.ignored.end());
      EXPECT_EQ(ignored, item["dt_ignore_at_50"].get<std::vector<int>>());
    }
  }
}

TEST(AveragePrecision, IsOneForTheTruthItself) {
  std::vector<Truth> truths;
  std::vector<Detection> detections;
  for (int64_t i = 0; i < 6; ++i) {
    const Box box{10.0 * static_cast<double>(i), 5, 20, 20};
    truths.push_back({.image = i % 2, .category = i % 3, .box = box, .area = 400});
    detections.push_back(
        {.image = i % 2, .category = i % 3, .score = 0.5, .box = box, .area = 400});
  }
  const auto numbers = average_precision(truths, detections, {0, 1}, {0, 1, 2}, {}).summary();
  EXPECT_DOUBLE_EQ(numbers[0], 1);
  EXPECT_DOUBLE_EQ(numbers[4], -1);  // no medium object
  EXPECT_DOUBLE_EQ(numbers[7], 1);
}

}  // namespace
}  // namespace ibot::metrics
