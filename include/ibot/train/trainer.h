// The training loop.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ibot/batch/batch_source.h"
#include "ibot/batch/multi_crop_batch.h"
#include "ibot/train/checkpointer.h"
#include "ibot/train/fault_ladder.h"
#include "ibot/train/health.h"
#include "ibot/train/observer.h"
#include "ibot/train/step.h"
#include "ibot/train/step_window.h"
#include "ibot/train/train_options.h"

namespace ibot::train {

struct TrainerOptions {
  TrainOptions train;
  optim::ScheduleOptions schedule;
  int64_t mask_start_epoch = 0;
  optim::RunLength length;
  batch::Normalization normalization;
  int64_t images = 0;                 // of the data set; 0: not known
  std::filesystem::path checkpoints;  // folder; exists
  std::filesystem::path replay;       // folder of batches that were not finite; empty: none
  std::string config;                 // kept in every checkpoint
};

/// How a run ended: all steps done, or asked to stop and saved.
enum class Ending { kDone, kStopped };

/// Runs steps from a source of batches, saves, and tells observers. The same options, data and
/// state give the same weights, stopped and resumed anywhere or not at all. Where the step has
/// several ranks, each runs a trainer over its share of the data; all see the means over ranks, and
/// rank 0 alone saves.
class Trainer {
 public:
  Trainer(TrainerOptions options, TrainStep& step, std::vector<Observer*> observers);

  /// Evaluates after an epoch where it sees fit. It must draw no random numbers.
  void set_evaluation(std::function<std::optional<EvaluationRecord>(int64_t epoch)> evaluate) {
    evaluate_ = std::move(evaluate);
  }
  /// Asked after every step; true saves and ends the run, at the next log_every_steps where there
  /// are several ranks, of which one is enough.
  void set_stop(std::function<bool()> requested) { stop_ = std::move(requested); }

  /// Takes over a checkpoint: networks, optimiser, position and the epoch's sums; one that lies in
  /// the run's own folder becomes its last one. Throws CheckpointError where shapes or the number
  /// of steps an epoch differ.
  void resume(const Checkpoint& checkpoint);

  /// Trains to the end, from batches that begin where the state stands: the first is that of step
  /// `state().step`. Checkpoints are written while it goes on; one that cannot be written is told
  /// of and tried again at the next. Throws Error when the last one cannot be written.
  ///
  /// On a loss or gradient that is not finite, as train.on_nonfinite says: `on` leaves the step
  /// out; after several in a row networks, centers and moments return to the newest checkpoint from
  /// before them, while steps, schedules and data go on, so that the same batches are not met
  /// again. Where that does not help it throws DivergenceError; `strict` does at once, naming step,
  /// values and the last good checkpoint. It happens at the latest after train.log_every_steps
  /// further steps, and nothing is saved in between. train.on_collapse=stop ends with it too.
  Ending run(batch::BatchSource<batch::MultiCropBatch>& batches);

  const RunState& state() const { return state_; }

  /// CHECKPOINTS/last.safetensors
  std::filesystem::path last_checkpoint() const { return checkpointer_.last(); }
  /// The longest write of a checkpoint so far.
  double longest_save_s() const { return longest_save_s_; }

 private:
  bool stop_agreed() const;
  void check_agreement() const;
  StepInputs inputs_of(int64_t step) const;
  void take_step(batch::BatchSource<batch::MultiCropBatch>& batches);
  void flush();
  void check_finite(const WindowResults& window);
  double add_to_sums(const WindowResults& counted);
  void watch_health(const StepRecord& record);
  void climb_ladder(bool wait);
  void roll_back();
  void finish_epoch();
  void evaluate(int64_t epoch);
  std::vector<std::string> names_to_keep() const;
  void save();
  void told(const std::optional<SaveResult>& saved);
  void finish_saving();
  void tell_fault(const char* kind, int64_t step, const std::string& text);

  TrainerOptions options_;
  TrainStep& step_;
  std::vector<Observer*> observers_;
  std::function<std::optional<EvaluationRecord>(int64_t)> evaluate_;
  std::function<bool()> stop_;
  Checkpointer checkpointer_;
  FaultLadder ladder_;
  HealthWatch health_;
  SpikeWatch spikes_;
  RunState state_;
  BestCheckpoint saved_best_;  // what state_.best becomes again where its save fails
  metrics::ClusterTable clusters_;
  StepWindow window_;
  double longest_save_s_ = 0.0;
  double window_start_ = 0.0;
  double window_wait_ = 0.0;
};

}  // namespace ibot::train
