// What all training has in common: steps, records, checkpoints, stops and faults.
#pragma once

#include <torch/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/batch/batch_source.h"
#include "ibot/dist/group.h"
#include "ibot/optim/schedule.h"
#include "ibot/train/checkpointer.h"
#include "ibot/train/fault_ladder.h"
#include "ibot/train/fault_options.h"
#include "ibot/train/observer.h"
#include "ibot/train/run_options.h"
#include "ibot/train/step_window.h"

namespace ibot::train {

/// Where a run keeps its files, and what these belong to.
struct RunHome {
  std::filesystem::path checkpoints;  // folder that exists; empty: nothing is saved
  std::filesystem::path replay;       // folder of batches that were not finite; empty: none.
                                      // Of several ranks each has a folder of its own in it.
  std::string config;                 // kept in every checkpoint
  std::string identity;               // of weights and data; likewise
  int64_t images = 0;                 // of the data set; 0: not known; likewise
};

struct LoopOptions {
  optim::RunLength length;
  int64_t max_steps = 0;          // 0: all epochs
  int64_t log_every_steps = 10;   // steps of which records are the means
  int64_t save_every_epochs = 0;  // of checkpoints that stay; 0: none
  int64_t save_every_steps = 0;   // within an epoch; 0: at its end only
  int64_t keep_last = 2;
  NonfinitePolicy on_nonfinite = NonfinitePolicy::kStrict;
  /// A gradient that is not finite counts as such; in fp16 it is the loss scale's everyday work.
  bool checks_gradients = true;
  /// A failed evaluation ends the run; else it is told of and the run goes on.
  bool needs_evaluation = false;
  double flops_per_image = 0.0;  // useful operations of a step; 0: not counted
  /// What matrix products are done in, for the share of the device's speed that is used.
  torch::ScalarType product_type = torch::kFloat;
  RunHome home;
};

/// What a loop takes from the options of a run; the rest is the training's own.
LoopOptions loop_options(const RunOptions& run, torch::Device device);

/// How a run ended: all steps done, or asked to stop and saved.
enum class Ending { kDone, kStopped };

/// Takes steps, saves, and tells observers. The same options, data and state give the same weights,
/// stopped and resumed anywhere or not at all. Where there are several ranks each runs a loop over
/// its share of the data; all see the means over ranks, and rank 0 alone saves.
///
/// A kind of training derives from it and says what a step is.
class Loop {
 public:
  Loop(LoopOptions options, dist::Group group, torch::Device device,
       std::vector<Observer*> observers);
  virtual ~Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// In place of those of the constructor, such as where files are opened after a resume.
  void set_observers(std::vector<Observer*> observers) { observers_ = std::move(observers); }
  /// Evaluates after an epoch where it sees fit. It must draw no random numbers.
  void set_evaluation(std::function<std::optional<EvaluationRecord>(int64_t epoch)> evaluate) {
    evaluate_ = std::move(evaluate);
  }
  /// Asked after every step; true saves and ends the run, at the next log_every_steps where there
  /// are several ranks, of which one is enough.
  void set_stop(std::function<bool()> requested) { stop_ = std::move(requested); }

  /// Takes over a checkpoint: tensors, position and the epoch's sums; one that lies in the run's
  /// own folder becomes its last one. Throws CheckpointError where shapes, the images of a step
  /// over all ranks or the number of steps an epoch differ.
  void resume(const Checkpoint& checkpoint);

  const RunState& state() const { return state_; }

  /// How often ranks look whether to stop.
  int64_t log_every_steps() const { return options_.log_every_steps; }

  /// CHECKPOINTS/last.safetensors
  std::filesystem::path last_checkpoint() const;
  /// The longest write of a checkpoint so far.
  double longest_save_s() const { return longest_save_s_; }

 protected:
  /// Trains to the end. Checkpoints are written while it goes on; one that cannot be written is
  /// told of and tried again at the next. Throws Error when the last one cannot be written.
  ///
  /// On a step that is not finite, as on_nonfinite says: `on` leaves the step out, as take_step has
  /// it; after several in a row the state returns to the newest checkpoint from before them, while
  /// steps, schedules and data go on, so that the same batches are not met again. Where that does
  /// not help it throws DivergenceError; `strict` does at once, naming step, values and the last
  /// good checkpoint. It happens at the latest after log_every_steps further steps, and nothing is
  /// saved in between.
  Ending run();

  /// The batch that comes next; the time it takes counts as waiting for data.
  template <class Batch>
  Batch next_batch(batch::BatchSource<Batch>& batches) {
    const auto before = std::chrono::steady_clock::now();
    auto loaded = batches.next();
    waited_ += std::chrono::steady_clock::now() - before;
    IBOT_CHECK(loaded.has_value(), "training: batches ended at step ", state_.step);
    return *std::move(loaded);
  }

  /// Whether a step is the last of a record.
  bool is_recorded(int64_t step) const;
  /// Says how to keep the batch of the step that is taken, should it turn out not to count.
  void set_replay(FaultLadder::Keep keep) { replay_ = std::move(keep); }
  void tell_fault(const char* kind, int64_t step, const std::string& text);

  // What a kind of training is.

  /// Takes step state().step; nothing in it waits for the device.
  virtual StepColumns take_step() = 0;
  /// The values of step `step`, a pure function of it.
  virtual optim::StepValues values(int64_t step) const = 0;
  /// Everything the next step depends on, by name. All ranks ask together.
  virtual std::map<std::string, torch::Tensor> tensors() = 0;
  /// Takes back what tensors() gave; `roll_back`: into a run that goes on behind them.
  virtual void load(std::map<std::string, torch::Tensor> tensors, bool roll_back) = 0;
  /// Adds what else there is to know of the steps of a record.
  virtual void complete(StepRecord&) {}
  /// Looks at a record that observers have been told of. May throw DivergenceError.
  virtual void judge(const StepRecord&) {}
  /// Adds what else there is to know of an epoch.
  virtual void complete(EpochRecord&) {}
  virtual void end_epoch() {}
  /// What may help where values are not finite, such as "a lower lr".
  virtual std::string advice() const = 0;

 private:
  bool stop_agreed() const;
  void check_agreement();
  void advance();
  void flush();
  void check_finite(const WindowResults& window);
  double add_to_sums(const WindowResults& counted);
  void climb_ladder(bool wait);
  void roll_back();
  void finish_epoch();
  void evaluate(int64_t epoch);
  std::vector<std::string> names_to_keep() const;
  void save();
  void told(const std::optional<SaveResult>& saved);
  void finish_saving();

  LoopOptions options_;
  dist::Group group_;
  torch::Device device_;
  std::vector<Observer*> observers_;
  std::function<std::optional<EvaluationRecord>(int64_t)> evaluate_;
  std::function<bool()> stop_;
  std::optional<Checkpointer> checkpointer_;
  FaultLadder ladder_;
  FaultLadder::Keep replay_;
  RunState state_;
  BestCheckpoint saved_best_;  // what state_.best becomes again where its save fails
  StepWindow window_;
  double longest_save_s_ = 0.0;
  double peak_flops_per_s_ = 0.0;  // of all ranks, as this one's device has them; 0: not measured
  std::chrono::steady_clock::time_point window_start_;
  std::chrono::duration<double> waited_{};
};

}  // namespace ibot::train
