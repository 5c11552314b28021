#include "ibot/metrics/run_length.h"

#include <gtest/gtest.h>

#include "ibot/base/error.h"
#include "support/golden.h"

namespace ibot::metrics {
namespace {

using ::ibot::testing::dense_case;

using ::ibot::testing::near;
using ::ibot::testing::Tolerance;

class RunLengthDense : public ::testing::Test {
 protected:
  RunLengthMask from_text(const std::string& text) const {
    return runs_from_text(text, height_, width_);
  }
  std::vector<RunLengthMask> masks() const {
    std::vector<RunLengthMask> masks;
    for (const auto& mask : golden_.json["masks"].elements())
      masks.push_back(from_text(mask["string"]));
    return masks;
  }
  std::vector<RunLengthMask> polygons() const {
    std::vector<RunLengthMask> polygons;
    for (const auto& polygon : golden_.json["polygons"].elements()) {
      polygons.push_back(
          runs_of_polygon(polygon["points"].get<std::vector<double>>(), height_, width_));
    }
    return polygons;
  }
  std::vector<bool> crowd(const std::string& key, size_t count) const {
    std::vector<bool> flags(count, false);
    if (key != "crowd") return flags;
    const auto given = golden_.json["crowd_flags"].get<std::vector<int>>();
    for (size_t i = 0; i < count; ++i) flags[i] = given[i] != 0;
    return flags;
  }
  template <class Item>
  static std::vector<Item> chosen(const std::vector<Item>& all, const std::vector<size_t>& parts) {
    std::vector<Item> items;
    for (const size_t part : parts) items.push_back(all.at(part));
    return items;
  }

  const testing::GoldenCase golden_ = dense_case("04_rle", "rle");
  const std::map<std::string, torch::Tensor> tensors_ = golden_.tensors();
  const int64_t height_ = golden_.json["size"][0];
  const int64_t width_ = golden_.json["size"][1];
  const Tolerance exact_{0, golden_.json["tolerance"]["atol"]};
};

TEST_F(RunLengthDense, MasksTextsAndCountsAreTheSame) {
  const auto& described = golden_.json["masks"];
  const auto pixels = tensors_.at("masks");
  ASSERT_EQ(pixels.size(0), static_cast<int64_t>(described.size()));
  for (int64_t i = 0; i < pixels.size(0); ++i) {
    SCOPED_TRACE(i);
    const auto mask = encode_runs(pixels[i]);
    const auto& expected = described[i];
    EXPECT_EQ(mask.counts, expected["counts"].get<std::vector<uint32_t>>());
    EXPECT_EQ(runs_to_text(mask), expected["string"].get<std::string>());
    EXPECT_EQ(from_text(expected["string"]), mask);
    EXPECT_EQ(area_of(mask), expected["area"].get<int64_t>());
    EXPECT_EQ(box_of(mask), expected["box"].get<Box>());
    EXPECT_TRUE(testing::equal(decode_runs(mask), pixels[i].ne(0).to(torch::kByte)));
  }
}

TEST_F(RunLengthDense, OverlapsAreTheSame) {
  const auto all = masks();
  EXPECT_TRUE(near(overlaps(all, all, crowd("", all.size())), tensors_.at("iou"), exact_));
  EXPECT_TRUE(
      near(overlaps(all, all, crowd("crowd", all.size())), tensors_.at("iou_crowd"), exact_));
  std::vector<Box> boxes;
  const auto rows = tensors_.at("boxes");
  for (int64_t i = 0; i < rows.size(0); ++i) {
    const auto* row = rows.const_data_ptr<double>() + 4 * i;
    boxes.push_back({row[0], row[1], row[2], row[3]});
  }
  EXPECT_TRUE(
      near(overlaps(boxes, boxes, crowd("", boxes.size())), tensors_.at("box_iou"), exact_));
  // The case does not say which of the boxes are crowds.
  const auto plain = overlaps(boxes, boxes, crowd("", boxes.size()));
  const auto crowds = overlaps(boxes, boxes, std::vector<bool>(boxes.size(), true));
  const auto expected = tensors_.at("box_iou_crowd");
  int64_t changed = 0;
  for (int64_t i = 0; i < expected.size(1); ++i) {
    const auto column = expected.select(1, i);
    if (near(plain.select(1, i), column, exact_)) continue;
    EXPECT_TRUE(near(crowds.select(1, i), column, exact_)) << i;
    ++changed;
  }
  EXPECT_GT(changed, 0);
}

TEST_F(RunLengthDense, MergedMasksAreTheSame) {
  for (const auto& merge : golden_.json["merge"].elements()) {
    SCOPED_TRACE(merge.raw().dump());
    const auto parts = chosen(masks(), merge["parts"].get<std::vector<size_t>>());
    EXPECT_EQ(runs_to_text(merge_runs(parts, merge["intersect"].get<bool>())),
              merge["string"].get<std::string>());
  }
}

TEST_F(RunLengthDense, PolygonsAndBoxesAreTheSame) {
  const auto drawn = polygons();
  for (size_t i = 0; i < drawn.size(); ++i) {
    const auto& expected = golden_.json["polygons"][i];
    SCOPED_TRACE(expected["points"].raw().dump());
    EXPECT_EQ(drawn[i].counts, expected["counts"].get<std::vector<uint32_t>>());
    EXPECT_EQ(area_of(drawn[i]), expected["area"].get<int64_t>());
  }
  for (const auto& merge : golden_.json["polygon_unions"].elements()) {
    const auto parts = chosen(drawn, merge["parts"].get<std::vector<size_t>>());
    EXPECT_EQ(runs_to_text(merge_runs(parts)), merge["string"].get<std::string>());
  }
  for (const auto& item : golden_.json["boxes_as_masks"].elements()) {
    EXPECT_EQ(runs_to_text(runs_of_box(item["box"].get<Box>(), height_, width_)),
              item["string"].get<std::string>());
  }
}

TEST_F(RunLengthDense, ALargeMaskIsTheSame) {
  const auto& large = golden_.json["large"];
  const auto size = large["size"].get<std::vector<int64_t>>();
  auto mask = torch::zeros(size, torch::kByte);
  const auto fill = [&](const std::vector<int64_t>& edges, int value) {
    mask.slice(0, edges[0], edges[1]).slice(1, edges[2], edges[3]).fill_(value);
  };
  for (const auto& edges : large["zero_except"].elements())
    fill(edges.get<std::vector<int64_t>>(), 1);
  fill(large["hole"].get<std::vector<int64_t>>(), 0);
  const auto runs = encode_runs(mask);
  const auto text = runs_to_text(runs);
  EXPECT_EQ(area_of(runs), large["area"].get<int64_t>());
  EXPECT_EQ(static_cast<int64_t>(text.size()), large["string_length"].get<int64_t>());
  EXPECT_TRUE(text.starts_with(large["string_start"].get<std::string>()));
  EXPECT_EQ(runs_from_text(text, size[0], size[1]), runs);
}

TEST(RunLength, RefusesTextsThatAreNoMask) {
  EXPECT_THROW(runs_from_text("5", 2, 2), DataError);       // 5 of 4 pixels
  EXPECT_THROW(runs_from_text("2", 2, 2), DataError);       // 2 of 4 pixels
  EXPECT_THROW(runs_from_text("o", 2, 2), DataError);       // says that more follow
  EXPECT_THROW(runs_from_text("13\x01", 2, 2), DataError);  // not of the alphabet
  try {
    runs_from_text("1\xc3", 2, 2);
    ADD_FAILURE();
  } catch (const DataError& error) {  // a part of a character would not be text
    EXPECT_NE(std::string(error.what()).find("byte 195 at 1"), std::string::npos) << error.what();
  }
  EXPECT_EQ(runs_from_text("13", 2, 2).counts, (std::vector<uint32_t>{1, 3}));
}

TEST(RunLength, RefusesAnOutlineOfTwoPoints) {
  EXPECT_THROW(runs_of_polygon({0, 0, 3, 3}, 5, 5), DataError);
  EXPECT_THROW(runs_of_polygon({0, 0, 3, 3, 1}, 5, 5), DataError);
}

}  // namespace
}  // namespace ibot::metrics
