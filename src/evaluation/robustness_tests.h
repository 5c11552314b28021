// One test of robustness: the sets of images it reads and what it makes of them.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ibot/evaluation/robustness.h"

namespace ibot::evaluation {

/// Images, and the numbers that are kept of each.
struct ScoredSet {
  std::string name;  // what progress calls it
  std::shared_ptr<const data::Dataset> images;
  Embedder embedder;
  ExtractionOptions how;
};

class RobustnessTest {
 public:
  virtual ~RobustnessTest() = default;
  const std::vector<ScoredSet>& sets() const { return sets_; }
  const std::vector<std::string>& notes() const { return notes_; }
  /// Adds metrics, lines of the table and figures; one bank a set, in their order.
  virtual void add_to(eval::Report& report, const std::vector<eval::FeatureBank>& banks) const = 0;

 protected:
  std::vector<ScoredSet> sets_;
  std::vector<std::string> notes_;
};

/// What every test is made from; outlives it.
struct RobustnessInputs {
  const eval::RobustnessOptions& options;
  const ClassifiedSubject& subject;
  const ExtractionOptions& how;
  std::filesystem::path folder;
};

std::unique_ptr<RobustnessTest> occlusion_test(const RobustnessInputs& inputs,
                                               const std::vector<std::string>& parts);
std::unique_ptr<RobustnessTest> imagenet9_test(const RobustnessInputs& inputs);
std::unique_ptr<RobustnessTest> challenge_test(const RobustnessInputs& inputs);
std::unique_ptr<RobustnessTest> imagenet_a_test(const RobustnessInputs& inputs);
std::unique_ptr<RobustnessTest> imagenet_c_test(const RobustnessInputs& inputs);

/// Class scores of normalized images, [B, C].
torch::Tensor scores_of(const RobustnessInputs& inputs, const torch::Tensor& images);

/// The class of each, as a column of numbers that are kept: [B, 1].
torch::Tensor predicted(const RobustnessInputs& inputs, const torch::Tensor& images);

/// Where in `classes` each name is. Throws DataError, which names `where`, on one that is not.
std::vector<int64_t> places_of(const std::vector<std::string>& names,
                               const std::vector<std::string>& classes,
                               const std::filesystem::path& where);

/// For each of the classifier's classes its number in ImageNet-1k; -1: not known.
std::vector<int64_t> imagenet_numbers(const ClassifiedSubject& subject);

/// What the numbers kept of a set depend on.
Identity set_identity(const RobustnessInputs& inputs, const std::string& test,
                      const data::Dataset& images, const ExtractionOptions& how);

/// Images of one folder a class, of which the classes' predictions are kept.
ScoredSet predicted_set(const RobustnessInputs& inputs, const std::string& test,
                        const std::string& name, const std::filesystem::path& folder);

/// A line of `report.table`: a name and a figure in percent.
void add_line(eval::Report& report, const std::string& name, double percent);

/// Percent of `marks` that are set.
double percent_of(const torch::Tensor& marks);

}  // namespace ibot::evaluation
