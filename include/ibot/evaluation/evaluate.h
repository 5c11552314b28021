// From a network and images to a report.
#pragma once

#include <filesystem>
#include <optional>

#include "ibot/evaluation/evaluation.h"
#include "ibot/evaluation/labeled_images.h"

namespace ibot::evaluation {

/// The frozen features of one subject, each half extracted when it is first asked for: evaluations
/// that share a source compute them once. What is passed must outlive it.
class Source {
 public:
  ///   images  labeled images; none where no evaluation reads their features
  ///   output  folder for what evaluations write beside their report; empty: nothing is written
  Source(const Subject& subject, const LabeledImages* images, ExtractionOptions options,
         Listener listener = {}, std::filesystem::path output = {});

  const Subject& subject() const { return subject_; }
  const LabeledImages* images() const { return images_; }
  const ExtractionOptions& options() const { return options_; }
  const Listener& listener() const { return listener_; }
  const std::filesystem::path& output() const { return output_; }
  const eval::FeatureBank& features(data::Split split);

 private:
  const Subject& subject_;
  const LabeledImages* images_;
  ExtractionOptions options_;
  Listener listener_;
  std::filesystem::path output_;
  std::optional<eval::FeatureBank> train_;
  std::optional<eval::FeatureBank> test_;
};

/// Throws Error, naming `where`, where there are fewer images than the evaluation needs.
void check_images(const Evaluation& evaluation, int64_t train_images, int64_t test_images,
                  const std::filesystem::path& where);

/// Evaluates the source's subject; `weights` and `data` of the report are left to the caller.
///
///   data   what evaluation.open gave; none where it reads no data of its own
///
/// Throws Error where there are too few images, before any feature is computed, and as Evaluation
/// and extract do.
eval::Report evaluate(const Evaluation& evaluation, Source& source, const Data* data = nullptr);

/// Computes into the cache what the evaluation reads, as one of several processes of which another
/// evaluates. Throws as evaluate.
void prepare(const Evaluation& evaluation, Source& source, const Data* data = nullptr);

/// What a report of `evaluation` belongs to: method, weights, images and the keys of features.
Identity identity_of(const Evaluation& evaluation, const Source& source, const Data* data);

}  // namespace ibot::evaluation
