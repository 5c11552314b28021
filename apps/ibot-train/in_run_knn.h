// k-NN on labelled images in the middle of a run.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "ibot/batch/normalization.h"
#include "ibot/data/dataset.h"
#include "ibot/eval/in_run_options.h"
#include "ibot/models/backbone.h"
#include "ibot/train/observer.h"

namespace ibot::apps {

/// Evaluates a backbone on PATH/train and PATH/val every few epochs.
class InRunKnn {
 public:
  /// Lists the images, so that a missing folder ends the run before it starts. Throws DataError,
  /// and ConfigError on a k above the number of training images.
  InRunKnn(const eval::InRunOptions& options, int64_t epochs, int64_t workers,
           const batch::Normalization& normalization);

  /// Metrics after `epoch` where one is due. `glance` is called after every batch and may throw.
  std::optional<train::EvaluationRecord> evaluate(models::Backbone& backbone, torch::Device device,
                                                  int64_t epoch,
                                                  const std::function<void()>& glance) const;

 private:
  eval::InRunOptions options_;
  int64_t epochs_;
  int64_t workers_;
  batch::Normalization normalization_;
  std::unique_ptr<data::Dataset> train_;
  std::unique_ptr<data::Dataset> test_;
};

}  // namespace ibot::apps
