// The pre-training loop.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ibot/batch/batch_source.h"
#include "ibot/batch/multi_crop_batch.h"
#include "ibot/batch/normalization.h"
#include "ibot/metrics/cluster_metrics.h"
#include "ibot/train/health.h"
#include "ibot/train/loop.h"
#include "ibot/train/step.h"
#include "ibot/train/train_options.h"

namespace ibot::train {

struct TrainerOptions {
  TrainOptions train;
  optim::ScheduleOptions schedule;
  int64_t mask_start_epoch = 0;
  optim::RunLength length;
  batch::Normalization normalization;
  double flops_per_image = 0.0;  // useful operations of a step; 0: not counted
  RunHome home;
};

/// Runs steps over a source of batches; each rank has its share of the data.
class Trainer final : public Loop {
 public:
  Trainer(const TrainerOptions& options, TrainStep& step, std::vector<Observer*> observers);

  /// As Loop::run. The first batch must be that of step `state().step`. train.on_collapse=stop ends
  /// with DivergenceError too.
  Ending run(batch::BatchSource<batch::MultiCropBatch>& batches);

 private:
  StepColumns take_step() override;
  optim::StepValues values(int64_t step) const override;
  std::map<std::string, torch::Tensor> tensors() override;
  void load(std::map<std::string, torch::Tensor> tensors, bool roll_back) override;
  void complete(StepRecord& record) override;
  void judge(const StepRecord& record) override;
  void complete(EpochRecord& record) override;
  void end_epoch() override { clusters_.clear(); }
  std::string advice() const override;

  StepInputs inputs_of(int64_t step) const;

  TrainerOptions options_;
  TrainStep& step_;
  batch::BatchSource<batch::MultiCropBatch>* batches_ = nullptr;
  HealthWatch health_;
  SpikeWatch spikes_;
  metrics::ClusterTable clusters_;
  // Steps since the last record, still on the device.
  std::vector<torch::Tensor> step_labels_;
  std::vector<torch::Tensor> step_clusters_;
  std::optional<HealthSample> sample_;  // of the last step
};

}  // namespace ibot::train
