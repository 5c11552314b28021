// Training of a detector as a loop.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ibot/batch/batch_source.h"
#include "ibot/eval/detect_step.h"
#include "ibot/train/loop.h"

namespace ibot::eval {

struct DetectTrainerOptions {
  batch::Normalization normalization;
  int64_t steps_per_epoch = 0;
  train::RunHome home;
};

/// Metrics of a test by name; the best checkpoint is the one of the highest `mask_ap`.
using DetectTest = std::function<std::map<std::string, double>(detection::Detector&)>;

/// Takes steps from a source of batches, tests after epochs, keeps the best and the newest
/// networks. Of several ranks each has its share of the batches. Its epochs report every term of
/// the loss and region_acc, the share of regions whose class is right.
class DetectTrainer final : public train::Loop {
 public:
  DetectTrainer(const DetectTrainerOptions& options, DetectStep& step,
                std::vector<train::Observer*> observers = {});

  /// All ranks test together.
  void set_test(DetectTest test);

  /// As Loop::run, from batches that begin where the state stands.
  train::Ending run(batch::BatchSource<batch::DetectionBatch>& batches);

 private:
  train::StepColumns take_step() override;
  optim::StepValues values(int64_t step) const override;
  std::map<std::string, torch::Tensor> tensors() override { return step_.training().state(); }
  void load(std::map<std::string, torch::Tensor> tensors, bool) override {
    step_.training().load_state(tensors);
  }
  void complete(train::EpochRecord& record) override;
  std::string advice() const override { return "a lower lr, clip_grad or bf16"; }
  std::optional<train::EvaluationRecord> test(int64_t epoch, const DetectTest& test);

  DetectTrainerOptions options_;
  DetectStep& step_;
  batch::BatchSource<batch::DetectionBatch>* batches_ = nullptr;
};

}  // namespace ibot::eval
