// k-NN on labelled images in the middle of a run.
#pragma once

#include <functional>
#include <optional>

#include "common/identity.h"
#include "common/labeled_images.h"
#include "ibot/config/run_config.h"
#include "ibot/eval/features.h"
#include "ibot/models/backbone.h"
#include "ibot/train/observer.h"

namespace ibot::apps {

/// Evaluates a backbone on eval.path/train and eval.path/val every few epochs, as `ibot-eval knn`
/// does.
class InRunKnn {
 public:
  /// Opens the images, so that what cannot be evaluated ends the run before it starts. Throws
  /// RequestError as LabeledImages does, and ConfigError on a k above the number of training
  /// images.
  explicit InRunKnn(const config::RunConfig& config);

  /// Metrics after `epoch` where one is due. `glance` is called after every batch and may throw.
  std::optional<train::EvaluationRecord> evaluate(models::Backbone& backbone, torch::Device device,
                                                  int64_t epoch,
                                                  const std::function<void()>& glance) const;

  /// What its scores belong to, weights apart.
  const Identity& identity() const { return identity_; }

 private:
  eval::FeatureBank bank_of(models::Backbone& backbone, torch::Device device, data::Split split,
                            const std::function<void()>& glance) const;

  config::RunConfig config_;
  LabeledImages images_;
  Identity identity_;
};

}  // namespace ibot::apps
