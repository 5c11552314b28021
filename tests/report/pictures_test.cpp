#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ibot/report/plane.h"
#include "ibot/report/sheets.h"
#include "support/expect_tensor.h"

namespace ibot::report {
namespace {

using ::testing::HasSubstr;

torch::Tensor at(const torch::Tensor& sheet, int64_t y, int64_t x) {
  return sheet[y][x].to(torch::kLong);
}

// Two images, two global crops of 40 px in patches of 20, three local ones of 15 px; each pixel
// four times as wide and high.
TEST(CropSheet, ShowsEachCropAtItsPlaceAndFadesMaskedPatches) {
  batch::MultiCropBatch batch;
  batch.global = torch::zeros({4, 3, 40, 40}, torch::kByte);
  for (int64_t i = 0; i < 4; ++i) batch.global[i].fill_(10 * (i + 1));
  batch.mask = torch::zeros({4, 4}, torch::kBool);
  batch.mask[2][1] = true;  // second crop of the first image, upper right patch
  batch.local = torch::full({6, 3, 15, 15}, 7, torch::kByte);
  batch.sample_id = torch::tensor({5, 6});
  const auto sheet = crop_sheet(batch);
  const int64_t second = 6 + 160 + 6;
  EXPECT_EQ(at(sheet, 6, 6)[0].item<int64_t>(), 10);
  EXPECT_EQ(at(sheet, 6, second + 79)[0].item<int64_t>(), 30);
  EXPECT_EQ(at(sheet, 6, second + 80)[0].item<int64_t>(), 161);  // 30 / 4 + 205 * 3 / 4
  EXPECT_EQ(at(sheet, 6 + 80, second + 80)[0].item<int64_t>(), 30);
  EXPECT_EQ(sheet.eq(7).all(-1).sum().item<int64_t>(), 6 * 60 * 60);
  EXPECT_EQ(sheet.eq(161).all(-1).sum().item<int64_t>(), 80 * 80);
}

TEST(ShownScale, IsWholeAndNeverShrinks) {
  EXPECT_EQ(shown_scale(32), 5);
  EXPECT_EQ(shown_scale(96), 1);
  EXPECT_EQ(shown_scale(224), 1);
}

TEST(CropSheet, DoesWithoutLocalCropsAndMasks) {
  batch::MultiCropBatch batch;
  batch.global = torch::full({2, 3, 160, 160}, 9, torch::kByte);
  batch.sample_id = torch::tensor({0});
  EXPECT_EQ(crop_sheet(batch).eq(9).all(-1).sum().item<int64_t>(), 2 * 160 * 160);
}

TEST(NeighborSheet, OrdersByCosineAndFramesByClass) {
  auto tiles = torch::zeros({4, 3, 10, 10}, torch::kByte);
  for (int64_t i = 0; i < 4; ++i) tiles[i].fill_(50 + i);
  const auto features = torch::tensor({{1., 0.}, {9., 1.}, {0., 1.}, {1., 1.}});
  const auto labels = torch::tensor({0, 0, 1, 1});
  const auto sheet = neighbor_sheet(tiles, features, labels, {0}, 2);
  // Query, gap of 12, then samples 1 (same class) and 3; margins of 6.
  const int64_t first = 6 + 10 + 6 + 12 + 6, second = first + 10 + 6;
  EXPECT_EQ(at(sheet, 11, 11)[0].item<int64_t>(), 50);
  EXPECT_EQ(at(sheet, 11, first + 5)[0].item<int64_t>(), 51);
  EXPECT_EQ(at(sheet, 11, second + 5)[0].item<int64_t>(), 53);
  EXPECT_TENSOR_EQUAL(at(sheet, 6, first), torch::tensor({23, 138, 76}));
  EXPECT_TENSOR_EQUAL(at(sheet, 6, second), torch::tensor({209, 72, 15}));
}

TEST(PrincipalComponents, FindTheDirectionOfPointsOnALine) {
  const auto along = torch::arange(-2, 3, torch::kDouble);
  const auto points = torch::stack({3 * along + 1, 4 * along - 7}, 1);
  const auto found = principal_components(points, 3);
  EXPECT_TENSOR_NEAR(found.select(1, 0), 5 * along);
  EXPECT_TENSOR_NEAR(found.narrow(1, 1, 2), torch::zeros({5, 2}, torch::kDouble));
}

// Two clouds far apart: the nearest point of each point is of its cloud.
TEST(Tsne, KeepsCloudsApart) {
  torch::manual_seed(1);
  const auto labels = torch::arange(60).remainder(2);
  const auto points = torch::randn({60, 8}) + 20 * labels.unsqueeze(1);
  const auto plane = tsne(points);
  ASSERT_TRUE(torch::isfinite(plane).all().item<bool>());
  auto distances = torch::cdist(plane, plane);
  distances.fill_diagonal_(1e9);
  EXPECT_TENSOR_EQUAL(labels.index_select(0, distances.argmin(1)), labels);
  EXPECT_GT(plane.std().item<double>(), 1);
}

TEST(Tsne, TakesFewPointsAndEqualOnes) {
  for (const int64_t count : {1, 3, 5}) {
    const auto plane = tsne(torch::ones({count, 4}));
    EXPECT_EQ(plane.sizes(), (std::vector<int64_t>{count, 2}));
    EXPECT_TRUE(torch::isfinite(plane).all().item<bool>());
  }
}

TEST(Scatter, NamesPointsAndClasses) {
  const auto svg = scatter_svg("a & b", torch::tensor({{0., 0.}, {1., 2.}}), torch::tensor({0, 1}),
                               {"cat", "<dog>"}, {"x.jpg", "y.jpg"});
  EXPECT_THAT(svg, HasSubstr("<title>&lt;dog&gt;: y.jpg</title>"));
  EXPECT_THAT(svg, HasSubstr("a &amp; b"));
  EXPECT_THAT(scatter_svg("", torch::zeros({1, 2}), {}, {}, {"one"}), HasSubstr("<title>one<"));
}

}  // namespace
}  // namespace ibot::report
