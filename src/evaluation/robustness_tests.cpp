#include "evaluation/robustness_tests.h"

#include <algorithm>

#include "evaluation/table.h"
#include "ibot/base/error.h"
#include "ibot/data/image_folder.h"
#include "ibot/eval/imagenet.h"

namespace ibot::evaluation {
namespace {

// Goes up when the same inputs give other numbers.
constexpr int64_t kTestsVersion = 1;

// Of sets whose images pass the network once.
constexpr int64_t kTestPart = 2048;

}  // namespace

torch::Tensor scores_of(const RobustnessInputs& inputs, const torch::Tensor& images) {
  const auto& subject = inputs.subject;
  const auto features =
      eval::image_features(*subject.network.backbone, images, inputs.how.features);
  // In float32: the classifier was trained on float32 features.
  return torch::addmm(subject.bias, features.to(torch::kFloat), subject.weight.t());
}

torch::Tensor predicted(const RobustnessInputs& inputs, const torch::Tensor& images) {
  const auto scores = scores_of(inputs, images);
  eval::check_finite(scores, "robustness", "class scores");
  // Kept as a feature is: a float32 column, exact for class numbers.
  return scores.argmax(1, true).to(torch::kFloat);
}

std::vector<int64_t> places_of(const std::vector<std::string>& names,
                               const std::vector<std::string>& classes,
                               const std::filesystem::path& where) {
  std::vector<int64_t> places;
  for (const auto& name : names) {
    const auto found = std::find(classes.begin(), classes.end(), name);
    IBOT_CHECK_AS(DataError, found != classes.end(), where.string(), ": expected folders of the ",
                  classes.size(), " classes ", classes.front(), ", ..., ", classes.back(), ", got ",
                  name, "; name the classifier's classes by robustness.class_list");
    places.push_back(found - classes.begin());
  }
  return places;
}

std::vector<int64_t> imagenet_numbers(const ClassifiedSubject& subject) {
  std::vector<int64_t> numbers;
  for (const auto& name : subject.classes) numbers.push_back(eval::imagenet_class(name));
  return numbers;
}

Identity set_identity(const RobustnessInputs& inputs, const std::string& test,
                      const data::Dataset& images, const ExtractionOptions& how) {
  Identity identity("robustness " + test, kTestsVersion);
  identity.add_hash("weights", inputs.subject.network.hash);
  identity.add_images(images.content_hash());
  identity.add_hash("classifier", tensors_hash({{"weight", inputs.subject.weight},
                                                {"bias", inputs.subject.bias}}));
  identity.add_keys(feature_keys(inputs.subject.network, how));
  return identity;
}

ScoredSet predicted_set(const RobustnessInputs& inputs, const std::string& test,
                        const std::string& name, const std::filesystem::path& folder) {
  auto images = std::make_shared<const data::ImageFolder>(folder);
  IBOT_CHECK_AS(DataError, data::has_classes(*images), folder.string(),
                ": expected a folder a class, got images without classes");
  auto how = inputs.how;
  // These sets are cropped alone; tests that resize say so.
  how.resize_size = 0;
  const auto embed = [inputs](const torch::Tensor& pixels, int64_t /*first*/) {
    return predicted(inputs, batch::normalized(pixels, inputs.how.normalization));
  };
  return {name, images, {embed, set_identity(inputs, test, *images, how), kTestPart}, how};
}

void add_line(eval::Report& report, const std::string& name, double percent) {
  report.table += table_line("%-34s %8.2f", name.c_str(), percent);
}

double percent_of(const torch::Tensor& marks) {
  return 100.0 * marks.to(torch::kDouble).mean().item<double>();
}

}  // namespace ibot::evaluation
