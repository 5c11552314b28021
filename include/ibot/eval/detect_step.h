// One step of training a detector.
#pragma once

#include <map>
#include <string>

#include "ibot/batch/detection_batch.h"
#include "ibot/detection/detector.h"
#include "ibot/eval/detect_options.h"
#include "ibot/eval/gradient_step.h"

namespace ibot::eval {

/// The network that the options describe, on the backbone of the weights. Throws OptionError on a
/// position_size that patches do not divide.
detection::Detector build_detector(const DetectOptions& options,
                                   const models::BackboneOptions& backbone, int64_t classes);

/// Draws all initial values from a seed.
void initialize_(detection::DetectorImpl& detector, int64_t seed);

/// Sizes and suppression of a test.
detection::PredictionOptions prediction_options(const DetectOptions& options);

/// Learning rate of the heads and weight decay in step `step`, from 0.
///
/// Source: mmcv 1.3, StepLrUpdaterHook with linear warm-up.
optim::StepValues detect_values(const DetectOptions& options, int64_t steps_per_epoch,
                                int64_t step);

/// Of one batch, still on the device.
struct DetectResult {
  torch::Tensor loss;
  detection::Terms terms;
  torch::Tensor accuracy;  // percentage of regions of the first stage whose class is right
};

/// A detector and what updates it.
class DetectStep {
 public:
  /// Throws OptionError where the device lacks the precision.
  DetectStep(const DetectOptions& options, const models::BackboneOptions& backbone,
             detection::Detector detector, torch::Device device, dist::Group group = {});

  /// Forward and backward. What is sampled of an image is a function of seed, step and image.
  DetectResult backward(const batch::DetectionBatch& batch,
                        const batch::Normalization& normalization, int64_t step);

  detection::Detector& detector() { return detector_; }
  const DetectOptions& options() const { return options_; }
  /// Optimizer, ranks, precision and state.
  GradientStep& training() { return training_; }
  const GradientStep& training() const { return training_; }

 private:
  std::vector<detection::ImageTruth> truths_of(const batch::DetectionBatch& batch,
                                               int64_t step) const;

  DetectOptions options_;
  detection::Detector detector_;
  GradientStep training_;
};

}  // namespace ibot::eval
