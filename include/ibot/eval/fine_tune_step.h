// One step of end-to-end training on labels.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "ibot/eval/classifier.h"
#include "ibot/eval/fine_tune_options.h"
#include "ibot/eval/gradient_step.h"
#include "ibot/optim/ema.h"

namespace ibot::eval {

/// Learning rate of the head and weight decay in step `step`, from 0, of a run on so many ranks.
///
/// Source: reference `run_class_finetuning.py`; semi_supervised/eval_cls.py.
optim::StepValues fine_tune_values(const FineTuneOptions& options, int64_t steps_per_epoch,
                                   int64_t step, int64_t ranks = 1);

/// Still on the device.
struct PassResult {
  torch::Tensor loss;     // of this pass, not divided by the number of passes
  torch::Tensor correct;  // share of images whose likeliest class is that of their target
};

/// A classifier, what updates it, and its moving average. A step is `accumulation` passes on
/// each rank and one update. Equal options, state and inputs give equal results on one device and
/// thread count; the passes of several ranks give what one rank has of all of them, up to the order
/// in which gradients are added.
class FineTuneStep {
 public:
  /// Throws OptionError where the device lacks the precision.
  FineTuneStep(const FineTuneOptions& options, std::shared_ptr<Classifier> classifier,
               torch::Device device, dist::Group group = {});

  /// Forward and backward; gradients add up until update(). `last`: no further pass comes before
  /// it, so that gradients may be averaged over ranks.
  ///
  ///   images   [B, 3, H, W]    normalized, on the device
  ///   targets  [B, classes]
  PassResult accumulate(const torch::Tensor& images, const torch::Tensor& targets,
                        bool last = true);
  /// Updates the classifier, then its moving average.
  UpdateResult update(const optim::StepValues& values);

  Classifier& classifier() { return *classifier_; }
  /// None where options.ema is 0.
  Classifier* averaged() { return averaged_.get(); }
  const FineTuneOptions& options() const { return options_; }
  /// Optimizer, ranks, precision. Its context of a pass makes the source of the device's random
  /// values, which decide what drop path drops, that of the pass.
  GradientStep& training() { return training_; }
  const GradientStep& training() const { return training_; }

  /// As GradientStep::state, with the moving average as `ema.…`.
  std::map<std::string, torch::Tensor> state() const;
  void load_state(const std::map<std::string, torch::Tensor>& state);

 private:
  FineTuneOptions options_;
  std::shared_ptr<Classifier> classifier_;
  GradientStep training_;
  std::shared_ptr<Classifier> averaged_;
  optim::ParameterPairs pairs_;
};

}  // namespace ibot::eval
