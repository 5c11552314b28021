// End-to-end training on labels as a loop.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ibot/batch/batch_source.h"
#include "ibot/batch/labeled_batch.h"
#include "ibot/batch/mixing_options.h"
#include "ibot/batch/normalization.h"
#include "ibot/eval/fine_tune_step.h"
#include "ibot/train/loop.h"

namespace ibot::eval {

struct FineTunerOptions {
  batch::MixingOptions mixing;
  batch::Normalization normalization;
  int64_t steps_per_epoch = 0;  // updates
  train::RunHome home;
};

/// Runs updates from a source of batches, tests after epochs, keeps the best and the newest
/// networks. Of several ranks each has its share of the batches.
///
/// Its epochs report class_acc, the share of training images whose likeliest class is the heavier
/// part of their mixed label, min_lr of the lowest layer, grad_norm and loss_scale; its tests
/// `top1`, `top5` and `loss`, of the moving average `ema_top1`.
class FineTuner final : public train::Loop {
 public:
  using Test = std::function<Accuracy(Classifier&)>;

  FineTuner(const FineTunerOptions& options, FineTuneStep& step,
            std::vector<train::Observer*> observers = {});

  /// All ranks test together.
  void set_test(Test test);

  /// As Loop::run, from batches that begin where the state stands; each update takes `accumulation`
  /// of them.
  train::Ending run(batch::BatchSource<batch::LabeledBatch>& batches);

 private:
  train::StepColumns take_step() override;
  optim::StepValues values(int64_t step) const override;
  std::map<std::string, torch::Tensor> tensors() override { return step_.state(); }
  void load(std::map<std::string, torch::Tensor> tensors, bool roll_back) override;
  void complete(train::EpochRecord& record) override;
  std::string advice() const override { return "a lower lr, clip_grad or bf16"; }

  PassResult take_pass(const batch::LabeledBatch& loaded, int64_t pass, bool last);
  std::optional<train::EvaluationRecord> test(int64_t epoch, const Test& test);

  FineTunerOptions options_;
  FineTuneStep& step_;
  batch::BatchSource<batch::LabeledBatch>* batches_ = nullptr;
};

/// A checkpoint of a run of a version before loops were one: OUT/checkpoints/last.safetensors; none
/// where the file is of another kind. Throws CheckpointError where it is damaged.
std::optional<train::Checkpoint> read_former_checkpoint(const std::filesystem::path& file);

}  // namespace ibot::eval
