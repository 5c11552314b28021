#include "ibot/metrics/segmentation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ibot/base/error.h"
#include "support/golden.h"

namespace ibot::metrics {
namespace {

using ::ibot::testing::dense_case;

void expect_scores(const std::vector<double>& actual, const testing::ReadJson& expected,
                   double atol) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    if (expected[i].is_null()) {
      EXPECT_TRUE(std::isnan(actual[i])) << i;
    } else {
      EXPECT_NEAR(actual[i], expected[i].get<double>(), atol) << i;
    }
  }
}

TEST(SegmentationDense, ScoresAreTheSame) {
  const auto golden = dense_case("05_segmentation_metrics", "miou");
  const auto tensors = golden.tensors();
  const double atol = golden.json["tolerance"]["atol"];
  const int64_t classes = golden.json["classes"];
  const int64_t ignore = golden.json["ignore"];
  SegmentationTotals all(classes, ignore);
  int64_t images = 0;
  for (; tensors.count(concat("image", images, ".prediction")) > 0; ++images) {
    const auto of = [&](const char* what) { return tensors.at(concat("image", images, what)); };
    SegmentationTotals one(classes, ignore);
    one.add(of(".prediction"), labels_of_file(of(".label_file"), ignore));
    EXPECT_TRUE(testing::equal(one.totals(), of(".areas"))) << images;
    all.add_totals(one.totals());
  }
  EXPECT_GT(images, 0);
  EXPECT_TRUE(testing::equal(all.totals().to(torch::kDouble), tensors.at("totals")));
  const auto scores = all.scores();
  expect_scores(scores.iou, golden.json["per_class_iou"], atol);
  expect_scores(scores.accuracy, golden.json["per_class_accuracy"], atol);
  EXPECT_NEAR(scores.mean_iou, golden.json["mIoU"].get<double>(), atol);
  EXPECT_NEAR(scores.mean_accuracy, golden.json["mAcc"].get<double>(), atol);
  EXPECT_NEAR(scores.pixel_accuracy, golden.json["aAcc"].get<double>(), atol);
  const auto published = golden.json["published_style_percent"];  // to two decimals
  EXPECT_NEAR(100 * scores.mean_iou, published["mIoU"].get<double>(), 0.005 + 1e-9);
  EXPECT_NEAR(100 * scores.mean_accuracy, published["mAcc"].get<double>(), 0.005 + 1e-9);
  EXPECT_NEAR(100 * scores.pixel_accuracy, published["aAcc"].get<double>(), 0.005 + 1e-9);
  const auto accuracy = pixel_accuracy(tensors.at("accuracy.logits"), tensors.at("accuracy.label"));
  EXPECT_NEAR(100 * accuracy.item<double>(),
              golden.json["training_accuracy"]["percent"].get<double>(), 1e-5);
}

TEST(SegmentationTotals, RefuseLabelsOfAnotherSet) {
  SegmentationTotals totals(3);
  const auto label = torch::tensor({0, 2, 255, 1}, torch::kByte).view({2, 2});
  totals.add(torch::zeros({2, 2}, torch::kLong), label);
  EXPECT_THROW(totals.add(torch::zeros({2, 2}, torch::kLong), label + 1), DataError);
  EXPECT_THROW(totals.add(torch::full({2, 2}, 3, torch::kLong), label), Error);
  EXPECT_THROW(totals.add(torch::zeros({4}, torch::kLong), label), Error);
}

}  // namespace
}  // namespace ibot::metrics
