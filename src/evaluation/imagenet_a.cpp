#include <algorithm>

#include "evaluation/robustness_tests.h"
#include "ibot/base/error.h"
#include "ibot/eval/calibration.h"
#include "ibot/eval/imagenet.h"
#include "ibot/eval/robustness.h"

namespace ibot::evaluation {
namespace {

/// The classifier's classes that ImageNet-A has, and their names.
struct Restriction {
  std::vector<int64_t> outputs;
  std::vector<std::string> names;
};

Restriction restriction_of(const ClassifiedSubject& subject) {
  Restriction found;
  const auto& all = eval::imagenet_a_classes();
  const auto numbers = imagenet_numbers(subject);
  for (size_t output = 0; output < numbers.size(); ++output) {
    if (std::find(all.begin(), all.end(), numbers[output]) == all.end()) continue;
    found.outputs.push_back(static_cast<int64_t>(output));
    found.names.push_back(subject.classes[output]);
  }
  IBOT_CHECK_AS(DataError, !found.outputs.empty(),
                "imagenet_a: expected a classifier of classes of ImageNet-1k, got ",
                subject.classes.front(), ", ...");
  return found;
}

/// Accuracy among the classes of ImageNet-A, and how well confidence tells it.
class ImagenetATest : public RobustnessTest {
 public:
  explicit ImagenetATest(const RobustnessInputs& inputs) {
    const auto [outputs, names] = restriction_of(inputs.subject);
    auto set = predicted_set(inputs, "imagenet_a", "imagenet_a", inputs.folder);
    set.how.resize_size = inputs.how.resize_size;
    // As the benchmark's script resizes.
    set.how.filter = data::Filter::kBilinear;
    targets_ =
        torch::tensor(places_of(set.images->class_names(), names, inputs.folder), torch::kLong);
    const auto chosen = torch::tensor(outputs, torch::kLong).to(inputs.subject.network.device);
    set.embedder.embed = [inputs, chosen](const torch::Tensor& pixels, int64_t /*first*/) {
      const auto scores = scores_of(inputs, batch::normalized(pixels, inputs.how.normalization));
      eval::check_finite(scores, "robustness", "class scores");
      const auto [prediction, confidence] = eval::restricted_prediction(scores, chosen);
      return torch::stack({prediction.to(torch::kFloat), confidence}, 1);
    };
    // Replaces that of predicted_set, which knows nothing of the resizing.
    set.embedder.identity = set_identity(inputs, "imagenet_a", *set.images, set.how);
    const auto all = eval::imagenet_a_classes().size();
    if (names.size() < all) {
      notes_.push_back(
          concat("imagenet_a: the classifier has ", names.size(), " of its ", all, " classes"));
    }
    if (eval::calibration_bins(set.images->size()) == 0) {
      notes_.push_back(concat("imagenet_a: ", set.images->size(),
                              " images; calibration needs 100 and is left out"));
    }
    sets_.push_back(std::move(set));
  }

  void add_to(eval::Report& report, const std::vector<eval::FeatureBank>& banks) const override {
    const auto& bank = banks.front();
    const auto correct =
        bank.features.select(1, 0).to(torch::kLong) == targets_.index_select(0, bank.labels);
    const auto confidence = bank.features.select(1, 1).to(torch::kDouble);
    add(report, "imagenet_a_top1", percent_of(correct));
    if (const auto error = eval::rms_calibration_error(confidence, correct)) {
      add(report, "imagenet_a_rms_calibration_error", 100.0 * *error);
    }
    add(report, "imagenet_a_aurra", 100.0 * eval::aurra(confidence, correct));
  }

 private:
  static void add(eval::Report& report, const std::string& name, double percent) {
    report.metrics[name] = percent;
    add_line(report, name, percent);
  }

  torch::Tensor targets_;  // places among the classes, by the number of the folder
};

}  // namespace

std::unique_ptr<RobustnessTest> imagenet_a_test(const RobustnessInputs& inputs) {
  return std::make_unique<ImagenetATest>(inputs);
}

}  // namespace ibot::evaluation
