// One step of end-to-end training on labels.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "ibot/dist/grad_sync.h"
#include "ibot/eval/classifier.h"
#include "ibot/eval/fine_tune_options.h"
#include "ibot/optim/ema.h"
#include "ibot/optim/grad_scaler.h"
#include "ibot/optim/optimizer.h"

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

/// Of one update; still on the device.
struct UpdateResult {
  torch::Tensor grad_norm;  // before clipping
  torch::Tensor faulty;     // as train::StepColumns; undefined unless options.on_nonfinite is on
};

/// A classifier with its optimizer, scaler and moving average. A step is `accumulation` passes on
/// each rank and one update. Equal options, state and inputs give equal results on one device and
/// thread count; the passes of several ranks give what one rank has of all of them, up to the order
/// in which gradients are added.
class FineTuneStep {
 public:
  /// Throws ConfigError where the device lacks the precision.
  FineTuneStep(const FineTuneOptions& options, std::shared_ptr<Classifier> classifier,
               torch::Device device, dist::Group group = {});

  /// Forward and backward; gradients add up until update(). `last`: no further pass comes before
  /// it, so that gradients may be averaged over ranks.
  ///
  ///   images   [B, 3, H, W]    normalized, on the device
  ///   targets  [B, classes]
  PassResult accumulate(const torch::Tensor& images, const torch::Tensor& targets,
                        bool last = true);
  /// Clips, updates, averages. Where options.on_nonfinite is on, a loss or gradient that is not
  /// finite leaves weights and moments as they are.
  UpdateResult update(const optim::StepValues& values);

  Classifier& classifier() { return *classifier_; }
  /// None where options.ema is 0.
  Classifier* averaged() { return averaged_.get(); }
  const optim::Optimizer& optimizer() const { return *optimizer_; }
  const FineTuneOptions& options() const { return options_; }
  torch::Device device() const { return device_; }
  const dist::Group& group() const { return group_; }
  /// The source of all random values on the device, which decide what drop path drops, made that of
  /// the run's pass number `pass`.
  at::Generator reseeded_generator(int64_t pass);
  /// 1 without a scaler.
  double loss_scale() const;

  /// Everything the next step depends on, by name: `model.…`, `ema.…`, `optim.…`, `scaler.…`.
  /// Tensors share storage with the step, but for the optimizer's of other ranks, for which all
  /// ranks have to ask together.
  std::map<std::string, torch::Tensor> state() const;
  /// Takes back what state() gave. Throws CheckpointError on missing or extra names and on another
  /// shape, before anything is changed.
  void load_state(const std::map<std::string, torch::Tensor>& state);

 private:
  FineTuneOptions options_;
  torch::Device device_;
  dist::Group group_;
  at::Generator generator_;
  std::shared_ptr<Classifier> classifier_;
  std::shared_ptr<Classifier> averaged_;
  std::optional<optim::Optimizer> optimizer_;
  std::optional<dist::GradSync> gradients_;
  optim::ParameterPairs pairs_;
  std::optional<optim::GradScaler> scaler_;
  torch::Tensor bad_losses_;  // passes since the last update whose loss is not finite
};

}  // namespace ibot::eval
