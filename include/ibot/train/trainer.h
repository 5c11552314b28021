// The training loop.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ibot/batch/batch_source.h"
#include "ibot/batch/multi_crop_batch.h"
#include "ibot/train/checkpoint.h"
#include "ibot/train/observer.h"
#include "ibot/train/step.h"
#include "ibot/train/train_options.h"

namespace ibot::train {

struct TrainerOptions {
  TrainOptions train;
  optim::ScheduleOptions schedule;
  int64_t mask_start_epoch = 0;
  optim::RunLength length;
  batch::Normalization normalization;
  std::filesystem::path checkpoints;  // folder; exists
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

  /// Takes over a checkpoint: networks, optimiser, position and the epoch's sums. Throws
  /// CheckpointError where shapes or the number of steps an epoch differ.
  void resume(const Checkpoint& checkpoint);

  /// Trains to the end, from batches that begin where the state stands: the first is that of step
  /// `state().step`. Throws DivergenceError on a loss that is not finite, naming step, values and
  /// the last good checkpoint, at the latest after train.log_every_steps further steps; nothing is
  /// saved in between.
  Ending run(batch::BatchSource<batch::MultiCropBatch>& batches);

  const RunState& state() const { return state_; }

  /// CHECKPOINTS/last.safetensors
  std::filesystem::path last_checkpoint() const;

 private:
  bool stop_agreed() const;
  void check_agreement() const;
  StepInputs inputs_of(int64_t step) const;
  void take_step(batch::BatchSource<batch::MultiCropBatch>& batches);
  void flush();
  void check_finite(const torch::Tensor& rows) const;
  void finish_epoch();
  void save();

  TrainerOptions options_;
  TrainStep& step_;
  std::vector<Observer*> observers_;
  std::function<std::optional<EvaluationRecord>(int64_t)> evaluate_;
  std::function<bool()> stop_;
  RunState state_;
  metrics::ClusterTable clusters_;
  // Results not yet read from the device: one row and one [B] tensor a step.
  std::vector<torch::Tensor> rows_;
  std::vector<torch::Tensor> assigned_;
  std::vector<torch::Tensor> labels_;
  double window_start_ = 0.0;
  double window_wait_ = 0.0;
};

}  // namespace ibot::train
