#include "ibot/batch/patch_pairs.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ibot/base/error.h"
#include "ibot/base/rng.h"
#include "ibot/batch/multi_crop_batch.h"
#include "support/expect_tensor.h"

namespace ibot::batch {
namespace {

TEST(MaskedPairs, AreMaskedPatchesWithTheirViewsWeight) {
  const auto mask = torch::tensor({{1, 0, 1}, {0, 0, 0}, {0, 1, 0}}, torch::kBool);
  const auto pairs = masked_pairs(mask);
  EXPECT_TENSOR_EQUAL(pairs.student, torch::tensor({0, 2, 7}, torch::kLong));
  EXPECT_TENSOR_EQUAL(pairs.teacher, pairs.student);
  EXPECT_TENSOR_EQUAL(pairs.weight, torch::tensor({0.5f, 0.5f, 1.0f}));
  EXPECT_EQ(pairs.views, 3);
  EXPECT_FALSE(pairs.student_local.defined());
}

TEST(MaskedPairs, NoMaskGivesNoRows) {
  const auto pairs = masked_pairs(torch::zeros({2, 4}, torch::kBool));
  EXPECT_EQ(pairs.student.size(0), 0);
  EXPECT_EQ(pairs.weight.size(0), 0);
  EXPECT_EQ(pairs.views, 2);
}

// The teacher's patches lie one below the other: 2 x 3 of global crops, then those of local ones.
TEST(MaskedPairs, OfLocalCropsFollowThoseOfGlobalOnes) {
  const auto mask = torch::tensor({{1, 0, 1}, {0, 0, 0}}, torch::kBool);
  const auto local_mask = torch::tensor({{0, 1}, {1, 1}, {0, 0}}, torch::kBool);
  const auto pairs = masked_pairs(mask, local_mask);
  EXPECT_TENSOR_EQUAL(pairs.student, torch::tensor({0, 2}, torch::kLong));
  EXPECT_TENSOR_EQUAL(pairs.student_local, torch::tensor({1, 2, 3}, torch::kLong));
  EXPECT_TENSOR_EQUAL(pairs.teacher, torch::tensor({0, 2, 7, 8, 9}, torch::kLong));
  EXPECT_TENSOR_EQUAL(pairs.weight, torch::tensor({0.5f, 0.5f, 1.0f, 0.5f, 0.5f}));
  EXPECT_EQ(pairs.views, 5);
}

TEST(MaskedPairs, RefuseWhatIsNoMask) { EXPECT_THROW(masked_pairs(torch::zeros({2, 4})), Error); }

// Two crops of 4 x 4 pixels, the second two pixels to the right: they share a column of patches.
TEST(PairsByPosition, OfTwoShiftedCrops) {
  const auto box = torch::tensor({{0.0, 0.0, 4.0, 4.0}, {0.0, 2.0, 4.0, 6.0}}, torch::kDouble);
  const auto pairs = pairs_by_position(box, {2, 2});
  EXPECT_TENSOR_EQUAL(pairs.student, torch::tensor({1, 3, 4, 6}, torch::kLong));
  EXPECT_TENSOR_EQUAL(pairs.teacher, torch::tensor({4, 6, 1, 3}, torch::kLong));
  EXPECT_TENSOR_EQUAL(pairs.weight, torch::full({4}, 0.5f));
  EXPECT_EQ(pairs.views, 2);
}

// The same crops, the second mirrored: its shared column is now its right one.
TEST(PairsByPosition, FollowAMirroredCrop) {
  const auto box = torch::tensor({{0.0, 0.0, 4.0, 4.0}, {0.0, 6.0, 4.0, 2.0}}, torch::kDouble);
  const auto pairs = pairs_by_position(box, {2, 2});
  EXPECT_TENSOR_EQUAL(pairs.student, torch::tensor({1, 3, 5, 7}, torch::kLong));
  EXPECT_TENSOR_EQUAL(pairs.teacher, torch::tensor({5, 7, 1, 3}, torch::kLong));
}

TEST(PairsByPosition, CropsApartHaveNone) {
  const auto box = torch::tensor({{0.0, 0.0, 4.0, 4.0}, {0.0, 4.0, 4.0, 8.0}}, torch::kDouble);
  const auto pairs = pairs_by_position(box, {2, 2});
  EXPECT_EQ(pairs.student.size(0), 0);
  EXPECT_EQ(pairs.views, 2);
}

struct Point {
  double y, x;
};

/// Where the center of a patch lies, with the flip as a case of its own.
Point center_of(const torch::Tensor& box, int64_t patch, mask::PatchGrid grid) {
  const auto edge = [&box](int64_t i) { return box[i].item<double>(); };
  const bool flip = edge(1) > edge(3);
  const double left = std::min(edge(1), edge(3)), width = std::abs(edge(3) - edge(1));
  const int64_t column = flip ? grid.columns - 1 - patch % grid.columns : patch % grid.columns;
  return {edge(0) + (patch / grid.columns + 0.5) * (edge(2) - edge(0)) / grid.rows,
          left + (column + 0.5) * width / grid.columns};
}

bool contains(const torch::Tensor& box, Point point) {
  const auto edge = [&box](int64_t i) { return box[i].item<double>(); };
  return point.y >= edge(0) && point.y < edge(2) && point.x >= std::min(edge(1), edge(3)) &&
         point.x < std::max(edge(1), edge(3));
}

double distance(Point a, Point b) { return std::hypot(a.y - b.y, a.x - b.x); }

/// Boxes of random crops, every other one mirrored.
torch::Tensor random_boxes(int64_t count, uint64_t seed) {
  Rng rng(seed, 0, 0, kCrop);
  const auto boxes = torch::empty({count, 4}, torch::kDouble);
  for (int64_t i = 0; i < count; ++i) {
    const double top = rng.uniform(0, 60), left = rng.uniform(0, 60);
    const double height = rng.uniform(20, 90), width = rng.uniform(20, 90);
    const bool flip = i % 2 == 1;
    boxes[i].copy_(
        torch::tensor({top, flip ? left + width : left, top + height, flip ? left : left + width},
                      torch::kDouble));
  }
  return boxes;
}

// Against a search through all pairs of patches, in an oblong grid.
TEST(PairsByPosition, AreTheNearestOfAll) {
  const mask::PatchGrid grid{5, 7};
  const int64_t views = 6, count = grid.size();
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto boxes = random_boxes(views, seed);
    const auto pairs = pairs_by_position(boxes, grid);
    int64_t row = 0;
    for (int64_t view = 0; view < views; ++view) {
      const int64_t other = (view + views / 2) % views;
      int64_t inside = 0;
      const int64_t first = row;
      for (int64_t patch = 0; patch < count; ++patch) {
        const auto point = center_of(boxes[view], patch, grid);
        if (!contains(boxes[other], point)) continue;
        double least = INFINITY;
        for (int64_t match = 0; match < count; ++match) {
          least = std::min(least, distance(point, center_of(boxes[other], match, grid)));
        }
        ASSERT_LT(row, pairs.student.size(0));
        EXPECT_EQ(pairs.student[row].item<int64_t>(), view * count + patch);
        const auto chosen = pairs.teacher[row].item<int64_t>();
        ASSERT_EQ(chosen / count, other);
        EXPECT_NEAR(distance(point, center_of(boxes[other], chosen % count, grid)), least, 1e-9);
        ++row, ++inside;
      }
      for (int64_t i = first; i < row; ++i) {
        EXPECT_FLOAT_EQ(pairs.weight[i].item<float>(), 1.0f / static_cast<float>(inside));
      }
    }
    EXPECT_EQ(row, pairs.student.size(0));
  }
}

TEST(PairsByPosition, RefuseWhatIsNoPairOfBoxes) {
  EXPECT_THROW(pairs_by_position({}, {2, 2}), Error);
  EXPECT_THROW(pairs_by_position(torch::zeros({3, 4}, torch::kDouble), {2, 2}), Error);
  EXPECT_THROW(pairs_by_position(torch::zeros({2, 4}), {2, 2}), Error);
}

TEST(PairsByFeature, AreEveryPatchAndLeaveTheChoiceToTheTeacher) {
  const auto pairs = pairs_by_feature(2, 3);
  EXPECT_TENSOR_EQUAL(pairs.student, torch::arange(6));
  EXPECT_FALSE(pairs.teacher.defined());
  EXPECT_TENSOR_EQUAL(pairs.weight, torch::full({6}, 1.0f / 3.0f));
  EXPECT_EQ(pairs.views, 2);
}

}  // namespace
}  // namespace ibot::batch
