// One training step: forward, loss, backward, clipping, update, moving average.
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

/// What a step is built from.
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

/// The values of one step; pure functions of the options and the step's number. `watch` asks for
/// the step's health; with `skip_nonfinite` the step may turn out not to count.
struct StepInputs {
  int64_t step = 0;
  optim::StepValues values;
  loss::TeacherTemperatures temperatures;
  bool watch = false;
  bool skip_nonfinite = false;
};

/// The values of step `step` of a run.
StepInputs step_inputs(const StepOptions& options, const optim::ScheduleOptions& schedule,
                       int64_t mask_start_epoch, const optim::RunLength& length, int64_t step);

/// Results of one step, all still on the device; of this rank's images, but for grad_norm.
///
///   loss       total and terms, weighted
///   grad_norm  scalar, of all ranks' gradients before clipping
///   agreement  scalar, share of images whose most likely prototype is the same for the teacher in
///              the first and the student in the second global view
///   cluster    [B]   int64, the teacher's most likely prototype in the first global view
///   faulty     float32 scalar, 1 when the loss, or but for fp16 a gradient, was not finite;
///              undefined without skip_nonfinite
///   health     of the teacher, where it was asked for
struct StepResult {
  loss::LossTerms loss;
  torch::Tensor grad_norm;
  torch::Tensor agreement;
  torch::Tensor cluster;
  torch::Tensor faulty;
  std::optional<HealthSample> health;
};

/// Networks, loss, optimiser and scaler, and the step over them. Nothing in a step waits for the
/// device. Equal options, state and inputs give equal results on one device and thread count.
///
/// A batch may be shared out among ranks, each of which has as many images, rank r of W those at
/// places r, r + W, …; and a rank's images may come in several parts. The results are those of the
/// whole batch, up to the order in which floats are added: drop path, gradients, centers and batch
/// norm's statistics, of which the last need whole batches.
///
/// With skip_nonfinite a step whose loss or gradients are not finite changes neither weights nor
/// moments; the teacher still moves towards the student as it stands, and centers follow what is
/// finite. Without such a step nothing is different. In fp16 a gradient out of range is the loss
/// scale's affair and no fault until the scale is below 1.
///
/// Source: paper algorithm 1; reference `main_ibot.py` (train_one_epoch).
class TrainStep {
 public:
  /// Throws ConfigError where the device lacks the precision.
  TrainStep(const StepOptions& options, torch::Device device, dist::Group group = {});

  /// `parts` are of equal size, on the device and normalised. Throws ConfigError on several with
  /// batch norm in the head.
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
  /// `scaler.…`. Tensors share storage with the step, but for the optimiser's of other ranks, for
  /// which all ranks have to ask together.
  std::map<std::string, torch::Tensor> state() const;
  /// Takes back what state() gave. Throws CheckpointError on missing or extra names and on another
  /// shape, before anything is changed.
  void load_state(const std::map<std::string, torch::Tensor>& state);

 private:
  /// Sums over the parts of a batch.
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
