// A linear classifier on a frozen network under occlusion, shuffling, other backgrounds, natural
// adversarial examples and corruptions.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "ibot/eval/report.h"
#include "ibot/eval/robustness_options.h"
#include "ibot/evaluation/extraction.h"

namespace ibot::evaluation {

class RobustnessTest;

/// What is tested.
///
///   weight   [C, F]   on the network's device; its features are those of ExtractionOptions
///   bias     [C]
///   classes  names of the C classes: WordNet ids, or folders of ImageNet-9
///   saliency a ViT that tells the foreground; its backbone may be missing
struct ClassifiedSubject {
  Subject network;
  torch::Tensor weight;
  torch::Tensor bias;
  std::vector<std::string> classes;
  Subject saliency;
};

/// The tests whose data lie below a folder.
///
/// Source: paper appendix E; analysis/ of the reference implementation.
class Robustness {
 public:
  /// Opens all data.
  ///
  ///   how   features, sizes of the labeled images and how to read; what passed through the
  ///   network
  ///         is kept in its cache and read again
  ///
  /// Throws DataError where data are missing or damaged, or are of classes that the classifier does
  /// not know, and OptionError on options that do not fit together.
  Robustness(const eval::RobustnessOptions& options, ClassifiedSubject subject,
             const std::filesystem::path& root, const ExtractionOptions& how);
  ~Robustness();

  /// Tests, data and figures that are left out, and why, a line each.
  const std::vector<std::string>& notes() const { return notes_; }

  /// Computes what the tests read, for `run` of another process to find in the cache; of several
  /// processes each begins elsewhere. Throws as extract.
  void share(const Listener& listener = {}) const;

  /// Throws as extract.
  eval::Report run(const Listener& listener = {}) const;

 private:
  eval::RobustnessOptions options_;
  std::unique_ptr<ClassifiedSubject> subject_;
  ExtractionOptions how_;
  std::vector<std::unique_ptr<RobustnessTest>> tests_;
  std::vector<std::string> notes_;
};

}  // namespace ibot::evaluation
