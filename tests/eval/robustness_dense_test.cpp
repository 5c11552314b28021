#include <gtest/gtest.h>

#include "ibot/eval/calibration.h"
#include "ibot/eval/imagenet.h"
#include "ibot/eval/occlusion.h"
#include "ibot/eval/robustness.h"
#include "support/golden_tensors.h"

namespace ibot::eval {
namespace {

using testing::GoldenTensors;
using testing::ReadJson;

torch::Tensor integers(const ReadJson& list) {
  return torch::tensor(list.get<std::vector<int64_t>>(), torch::kLong);
}

mask::PatchGrid grid_of(const ReadJson& json) { return {json[0], json[1]}; }

/// As the reference stores images and feeds them.
torch::Tensor input_of(const torch::Tensor& image) { return (image.to(torch::kFloat) - 128) / 64; }

class RobustnessDense : public ::testing::Test {
 protected:
  const testing::GoldenCase golden_ = testing::dense_case("14_robustness", "robustness");
  const ReadJson& json_ = golden_.json;
  const GoldenTensors tensors_{golden_.tensors(), golden_.tolerance()};

  double scores() const { return json_["tolerance"]["scores"]; }

  void check_shuffle() const {
    const auto items = json_["shuffle"]["items"].elements();
    for (size_t i = 0; i < items.size(); ++i) {
      const auto shuffled = shuffled_cells(tensors_.at("image"), grid_of(items[i]["grid"]),
                                           integers(items[i]["permutation"]));
      EXPECT_TENSOR_EQUAL(shuffled, tensors_.at("shuffle" + std::to_string(i)));
    }
  }

  void check_drop() const {
    const auto drop = json_["drop"];
    const auto grid = grid_of(drop["grid"]);
    const auto blank = torch::zeros({grid.size()}, torch::kBool);
    blank.index_fill_(0, integers(drop["dropped"]), true);
    const auto dropped = blanked_cells(input_of(tensors_.at("image")), grid, blank);
    tensors_.compare(dropped, "drop.result");
    EXPECT_EQ(tenths_of(196), drop["counts_of_196"].get<std::vector<int64_t>>());
  }

  void check_saliency() const {
    const auto& attention = tensors_.at("saliency.attention");
    for (const auto& item : json_["saliency"]["items"].elements()) {
      const double share = item["lam"];
      const auto foreground = most_attended(attention, share);
      const auto name = item["lam"].raw().dump();
      EXPECT_TENSOR_EQUAL(foreground.to(torch::kByte), tensors_.at("saliency.foreground_" + name));
      const double lost = foreground.to(torch::kFloat).mean(1).mean().item<double>();
      EXPECT_NEAR(lost, item["loss_ratio_salient"], 1e-6) << name;
      EXPECT_NEAR(1 - lost, item["loss_ratio_non_salient"], 1e-6) << name;
    }
  }

  void check_imagenet_a() const {
    const auto expected = json_["imagenet_a"];
    const auto& confidence = tensors_.at("imagenet_a.confidence");
    const auto& correct = tensors_.at("imagenet_a.correct");
    EXPECT_NEAR(correct.to(torch::kDouble).mean().item<double>(), expected["accuracy"], scores());
    EXPECT_NEAR(rms_calibration_error(confidence, correct).value(),
                expected["rms_calibration_error"], scores());
    EXPECT_NEAR(aurra(confidence, correct), expected["aurra"], scores());
    EXPECT_EQ(calibration_bins(confidence.size(0)), expected["bins"].get<int64_t>());
    const auto classes = torch::tensor(imagenet_a_classes(), torch::kLong);
    EXPECT_TENSOR_EQUAL(classes, tensors_.at("imagenet_a.classes"));
    const auto found = restricted_prediction(tensors_.at("imagenet_a.logits"), classes);
    EXPECT_TENSOR_EQUAL(found.prediction, tensors_.at("imagenet_a.prediction"));
    tensors_.compare(found.confidence, "imagenet_a.prediction_confidence");
  }

  void check_imagenet_9() const {
    std::vector<int64_t> classes;
    for (int64_t i = 0; i < 1000; ++i) classes.push_back(imagenet9_class(i));
    const auto class_of = torch::tensor(classes, torch::kLong);
    EXPECT_TENSOR_EQUAL(class_of, tensors_.at("imagenet_9.class_of_1000"));
    const auto expected = json_["imagenet_9"];
    EXPECT_EQ(class_of.min().item<int64_t>(), expected["unmapped_value"].get<int64_t>());
    EXPECT_NEAR(
        mapped_accuracy(integers(expected["predictions"]), integers(expected["targets"]), class_of),
        100 * expected["accuracy"].get<double>(), scores());
    const auto composed =
        composites(tensors_.at("imagenet_9.foreground"), tensors_.at("imagenet_9.backgrounds"),
                   tensors_.at("imagenet_9.mask"), {});
    tensors_.compare(composed, "imagenet_9.normalised");
  }

  void check_background_challenge() const {
    const auto expected = json_["background_challenge"];
    std::vector<torch::Tensor> predicted;
    for (const auto& row : expected["predictions"].elements()) predicted.push_back(integers(row));
    EXPECT_NEAR(vulnerable_percent(torch::stack(predicted), integers(expected["classes"])),
                expected["vulnerable_percent"], scores());
  }

  void check_imagenet_c() const {
    const auto expected = json_["imagenet_c"];
    std::vector<torch::Tensor> errors;
    for (const auto& row : expected["errors"].elements()) {
      errors.push_back(torch::tensor(row.get<std::vector<double>>(), torch::kDouble));
    }
    ASSERT_EQ(errors.size(), imagenet_c_corruptions().size());
    const auto found = corruption_errors(torch::stack(errors), kBenchmarkCorruptions);
    const auto each = expected["per_corruption"].get<std::vector<double>>();
    for (size_t i = 0; i < each.size(); ++i) EXPECT_NEAR(found.each[i].value(), each[i], scores());
    EXPECT_NEAR(found.mean.value(), expected["mean_error_19"], scores());
    EXPECT_NEAR(found.benchmark_mean.value(), expected["mean_error_15"], scores());
  }
};

TEST_F(RobustnessDense, IsThatOfTheReference) {
  check_shuffle();
  check_drop();
  check_saliency();
  check_imagenet_a();
  check_imagenet_9();
  check_background_challenge();
  check_imagenet_c();
  tensors_.expect_all_used();
  json_.expect_all_read({"*/rule", "tolerance/exact"});
}

TEST(RobustnessScores, MissingSeveritiesAreLeftOut) {
  const auto nan = std::nan("");
  const auto error = torch::tensor({{0.5, nan}, {nan, nan}, {0.1, 0.3}}, torch::kDouble);
  const auto found = corruption_errors(error, 2);
  EXPECT_DOUBLE_EQ(found.each[0].value(), 50.0);
  EXPECT_FALSE(found.each[1]);
  EXPECT_DOUBLE_EQ(found.mean.value(), 35.0);
  EXPECT_DOUBLE_EQ(found.benchmark_mean.value(), 50.0);
  EXPECT_FALSE(corruption_errors(error.narrow(0, 1, 1), 1).mean);
}

TEST(RobustnessScores, CalibrationOfFewImages) {
  const auto confidence = torch::full({150}, 0.75, torch::kDouble);
  const auto correct = torch::ones({150});
  EXPECT_FALSE(rms_calibration_error(confidence.narrow(0, 0, 99), correct.narrow(0, 0, 99)));
  EXPECT_NEAR(rms_calibration_error(confidence, correct).value(), 0.25, 1e-12);
}

TEST(Occlusion, EachImageMayHaveItsOwnCells) {
  const auto images = torch::arange(1, 9).view({2, 1, 2, 2});
  const auto order = torch::tensor({{0, 1}, {1, 0}});
  EXPECT_TENSOR_EQUAL(shuffled_cells(images, {1, 2}, order),
                      torch::tensor({1, 2, 3, 4, 6, 5, 8, 7}).view({2, 1, 2, 2}));
  const auto blank = torch::tensor({{true, false}, {false, true}});
  EXPECT_TENSOR_EQUAL(blanked_cells(images, {2, 1}, blank),
                      torch::tensor({0, 0, 3, 4, 5, 6, 0, 0}).view({2, 1, 2, 2}));
}

TEST(Occlusion, AGridThatDoesNotDivideTheImageIsRefusedOrApproximated) {
  const auto image = torch::ones({1, 1, 5, 5});
  EXPECT_THROW(shuffled_cells(image, {2, 2}, torch::arange(4)), Error);
  const auto blank = torch::tensor({true, false, false, false});
  EXPECT_EQ(blanked_cells(image, {2, 2}, blank).sum().item<int64_t>(), 25 - 4);
}

}  // namespace
}  // namespace ibot::eval
