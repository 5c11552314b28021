// One training step: forward, loss, backward, gradient clipping, update, EMA.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ibot/batch/multi_crop_batch.h"
#include "ibot/dist/grad_sync.h"
#include "ibot/loss/ibot_loss.h"
#include "ibot/optim/ema.h"
#include "ibot/optim/grad_scaler.h"
#include "ibot/optim/optimizer.h"
#include "ibot/train/health.h"
#include "ibot/train/student_teacher.h"
#include "ibot/train/train_options.h"

namespace ibot::train {

/// Options of a step.
struct StepOptions {
  models::BackboneOptions backbone;
  models::HeadOptions head;
  loss::LossOptions loss;
  optim::OptimOptions optim;
  Precision precision = Precision::kFp32;
  uint64_t seed = 0;
  int64_t global_views = 2;
  bool checkpoint_activations = false;
  bool shard_optimizer = false;
  dist::Compression compress_gradients = dist::Compression::kNone;
};

/// Inputs of one step, pure functions of the options and the step number. `watch` requests the
/// step's health; with `skip_nonfinite` a non-finite step is skipped.
struct StepInputs {
  int64_t step = 0;
  optim::StepValues values;
  loss::TeacherTemperatures temperatures;
  bool watch = false;
  bool skip_nonfinite = false;
};

/// Inputs of step `step` of a run.
StepInputs step_inputs(const StepOptions& options, const optim::ScheduleOptions& schedule,
                       int64_t mask_start_epoch, const optim::RunLength& length, int64_t step);

/// Results of one step, still on the device; over this rank's images, except grad_norm.
///
///   loss       total and terms, weighted
///   grad_norm  scalar, of the gradients averaged over ranks, before clipping
///   agreement  scalar, fraction of images whose most likely prototype is the same for the
///              teacher in the first and the student in the second global view
///   cluster    [B]   int64, the teacher's most likely prototype in the first global view
///   faulty     float32 scalar, 1 if the loss or, except in fp16, a gradient was not finite;
///              undefined without skip_nonfinite
///   health     of the teacher, if requested
struct StepResult {
  loss::LossTerms loss;
  torch::Tensor grad_norm;
  torch::Tensor agreement;
  torch::Tensor cluster;
  torch::Tensor faulty;
  std::optional<HealthSample> health;
};

/// Networks, loss, optimizer and scaler, and the step over them. A step never synchronizes with the
/// device. Equal options, state and inputs give equal results on one device and thread count.
///
/// A batch may be distributed over ranks with equal numbers of images, rank r of W having those at
/// positions r, r + W, …, and each rank's images may be split into micro-batches. Results equal
/// those of the whole batch up to the order of float additions: drop path, gradients, centers and
/// batch norm statistics; the last require whole batches per rank.
///
/// With skip_nonfinite, a step with a non-finite loss or gradient changes neither weights nor
/// moments; the teacher still moves toward the student as it is, and centers follow finite values.
/// Finite steps are unaffected. In fp16, gradient overflow is handled by the loss scale and is not
/// a fault until the scale falls below 1.
///
/// Source: paper algorithm 1; reference `main_ibot.py` (train_one_epoch).
class TrainStep {
 public:
  /// Throws ConfigError if the device does not support the precision.
  TrainStep(const StepOptions& options, torch::Device device, dist::Group group = {});

  /// `parts` are micro-batches of equal size, normalized and on the device. Throws ConfigError for
  /// several with batch norm in the head.
  StepResult run(const std::vector<batch::MultiCropBatch>& parts, const StepInputs& inputs);
  StepResult run(const batch::MultiCropBatch& batch, const StepInputs& inputs) {
    return run(std::vector{batch}, inputs);
  }

  StudentTeacher& networks() { return *networks_; }
  const StudentTeacher& networks() const { return *networks_; }
  const optim::Optimizer& optimizer() const { return *optimizer_; }
  const StepOptions& options() const { return options_; }
  torch::Device device() const { return device_; }
  const dist::Group& group() const { return group_; }

  /// Everything the next step depends on, by name: `student.…`, `teacher.…`, `loss.…`, `optim.…`,
  /// `scaler.…`. Tensors share storage with the step, except optimizer tensors of other ranks, for
  /// which all ranks must call this together.
  std::map<std::string, torch::Tensor> state() const;
  /// Restores the result of state(). Throws CheckpointError on missing or unknown names and on
  /// different shapes, before anything is changed.
  void load_state(const std::map<std::string, torch::Tensor>& state);

 private:
  /// Sums over the micro-batches of a batch.
  struct Sums;

  void prepare(int64_t part, int64_t parts, int64_t images, int64_t step);
  void add_part(const batch::MultiCropBatch& batch, const StepInputs& inputs, bool last,
                Sums& sums);
  void move_centers(Sums& sums);

  StepOptions options_;
  torch::Device device_;
  dist::Group group_;
  at::Generator generator_;
  std::shared_ptr<StudentTeacher> networks_;
  loss::IbotLoss loss_{nullptr};
  std::optional<optim::Optimizer> optimizer_;
  std::optional<dist::GradSync> gradients_;
  optim::ParameterPairs averaged_;
  std::optional<optim::GradScaler> scaler_;
};

}  // namespace ibot::train
