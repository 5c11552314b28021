// The loop of end-to-end training on labels.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ibot/batch/batch_source.h"
#include "ibot/batch/labeled_batch.h"
#include "ibot/batch/mixing_options.h"
#include "ibot/batch/normalization.h"
#include "ibot/eval/fine_tune_step.h"

namespace ibot::eval {

struct FineTunerOptions {
  batch::MixingOptions mixing;
  batch::Normalization normalization;
  int64_t steps_per_epoch = 0;        // updates
  std::filesystem::path checkpoints;  // folder that exists; empty: nothing is saved
  std::string config;                 // kept in every checkpoint
  std::string identity;               // what the run belongs to; likewise
};

/// Where a run stands, besides tensors.
struct FineTuneState {
  int64_t step = 0;  // finished updates
  int64_t steps_per_epoch = 0;
  /// Sums over the updates of the running epoch.
  double loss = 0.0;
  double correct = 0.0;
  double grad_norm = 0.0;
  /// The first of the best tests; epoch -1 before any.
  int64_t best_epoch = -1;
  double best_top1 = 0.0;
  double best_top5 = 0.0;

  /// As JSON, doubles exact.
  std::string to_json() const;
  /// Throws CheckpointError on text that to_json did not write.
  static FineTuneState from_json(const std::string& text);
};

/// A finished epoch: means over its updates, and the test where there was one.
struct FineTuneEpoch {
  int64_t epoch = 0;
  double loss = 0.0;
  double train_top1 = 0.0;  // percent; of mixed images, by the heavier part
  double lr = 0.0;
  double min_lr = 0.0;  // of the lowest layer
  double weight_decay = 0.0;
  double grad_norm = 0.0;
  double loss_scale = 1.0;
  std::optional<Accuracy> test;
  std::optional<Accuracy> test_ema;
};

/// Runs updates from a source of batches, tests after epochs, keeps the best and the last network.
/// The same options, data and state give the same weights, stopped and resumed anywhere or not at
/// all.
class FineTuner {
 public:
  using Test = std::function<Accuracy(Classifier&)>;

  FineTuner(FineTunerOptions options, FineTuneStep& step);

  void set_test(Test test) { test_ = std::move(test); }
  /// Told of every finished epoch.
  void set_on_epoch(std::function<void(const FineTuneEpoch&)> told) { on_epoch_ = std::move(told); }
  /// Told of the mean loss at most every log_every_steps updates.
  void set_on_step(std::function<void(int64_t step, double loss)> told) {
    on_step_ = std::move(told);
  }
  /// Asked after every update; true saves and ends the run.
  void set_stop(std::function<bool()> requested) { stop_ = std::move(requested); }

  /// Takes over a checkpoint that save() wrote. Throws CheckpointError where the file is damaged or
  /// foreign, and where shapes or the number of steps an epoch differ.
  void resume(const std::filesystem::path& checkpoint);

  /// Trains to the end, from batches that begin where the state stands; each update takes
  /// `accumulation` of them. Whether it came to the end. Throws DivergenceError on a loss that is
  /// not finite, at the latest after log_every_steps further updates; nothing is saved in between.
  bool run(batch::BatchSource<batch::LabeledBatch>& batches);

  const FineTuneState& state() const { return state_; }

  /// CHECKPOINTS/last.safetensors: all that is needed to go on.
  std::filesystem::path last_checkpoint() const;
  /// CHECKPOINTS/best.safetensors: the network with the best test, `model.…` alone.
  std::filesystem::path best_checkpoint() const;

 private:
  void take_step(batch::BatchSource<batch::LabeledBatch>& batches);
  PassResult take_pass(batch::BatchSource<batch::LabeledBatch>& batches, int64_t pass);
  void flush();
  void finish_epoch();
  void keep_best(const Accuracy& accuracy, int64_t epoch);
  void save() const;

  FineTunerOptions options_;
  FineTuneStep& step_;
  Test test_;
  std::function<void(const FineTuneEpoch&)> on_epoch_;
  std::function<void(int64_t, double)> on_step_;
  std::function<bool()> stop_;
  FineTuneState state_;
  // Results not yet read from the device, one row a step.
  std::vector<torch::Tensor> rows_;
};

/// What the run of a checkpoint of FineTuner belongs to; empty where an earlier version wrote it.
/// Throws CheckpointError.
std::string fine_tune_identity(const std::filesystem::path& checkpoint);

}  // namespace ibot::eval
