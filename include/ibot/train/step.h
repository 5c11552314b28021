// One training step: forward, loss, backward, clipping, update, moving average.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "ibot/batch/multi_crop_batch.h"
#include "ibot/loss/ibot_loss.h"
#include "ibot/optim/ema.h"
#include "ibot/optim/grad_scaler.h"
#include "ibot/optim/optimizer.h"
#include "ibot/train/student_teacher.h"
#include "ibot/train/train_options.h"

namespace ibot::train {

/// What a step is built from.
struct StepOptions {
  models::BackboneOptions backbone;
  models::HeadOptions head;
  loss::LossOptions loss;
  optim::OptimOptions optim;
  Precision precision = Precision::kFp32;
  uint64_t seed = 0;
  int64_t global_views = 2;
};

/// The values of one step; pure functions of the options and the step's number.
struct StepInputs {
  int64_t step = 0;
  optim::StepValues values;
  loss::TeacherTemperatures temperatures;
};

/// The values of step `step` of a run.
StepInputs step_inputs(const StepOptions& options, const optim::ScheduleOptions& schedule,
                       int64_t mask_start_epoch, const optim::RunLength& length, int64_t step);

/// Results of one step, all still on the device.
///
///   loss       total, class term, patch term; weighted
///   grad_norm  scalar, of all gradients before clipping
///   agreement  scalar, share of images whose most likely prototype is the same for the teacher in
///              the first and the student in the second global view
///   cluster    [B]   int64, the teacher's most likely prototype in the first global view
struct StepResult {
  loss::LossTerms loss;
  torch::Tensor grad_norm;
  torch::Tensor agreement;
  torch::Tensor cluster;
};

/// Networks, loss, optimiser and scaler, and the step over them. Nothing in a step waits for the
/// device. Equal options, state and inputs give equal results on one device and thread count.
///
/// Source: paper algorithm 1; reference `main_ibot.py` (train_one_epoch).
class TrainStep {
 public:
  /// Throws ConfigError where the device lacks the precision.
  TrainStep(const StepOptions& options, torch::Device device);

  /// `batch` is on the device and normalised.
  StepResult run(const batch::MultiCropBatch& batch, const StepInputs& inputs);

  StudentTeacher& networks() { return *networks_; }
  const StudentTeacher& networks() const { return *networks_; }
  const optim::Optimizer& optimizer() const { return *optimizer_; }
  const StepOptions& options() const { return options_; }
  torch::Device device() const { return device_; }

  /// Everything the next step depends on, by name: `student.…`, `teacher.…`, `loss.…`, `optim.…`,
  /// `scaler.…`. Tensors share storage with the step.
  std::map<std::string, torch::Tensor> state() const;
  /// Takes back what state() gave. Throws CheckpointError on missing or extra names and on another
  /// shape, before anything is changed.
  void load_state(const std::map<std::string, torch::Tensor>& state);

 private:
  StepResult forward_backward(const batch::MultiCropBatch& batch, const StepInputs& inputs);

  StepOptions options_;
  torch::Device device_;
  at::Generator generator_;
  std::shared_ptr<StudentTeacher> networks_;
  loss::IbotLoss loss_{nullptr};
  std::optional<optim::Optimizer> optimizer_;
  optim::ParameterPairs averaged_;
  std::optional<optim::GradScaler> scaler_;
};

}  // namespace ibot::train
