// Linear classifiers on frozen features of random crops, as a loop.
#pragma once

#include <torch/types.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ibot/batch/batch_source.h"
#include "ibot/batch/labeled_batch.h"
#include "ibot/eval/features.h"
#include "ibot/eval/linear_heads.h"
#include "ibot/eval/linear_options.h"
#include "ibot/train/loop.h"

namespace ibot::eval {

struct LinearProbeOptions {
  LinearOptions linear;
  int64_t classes = 0;
  int64_t steps_per_epoch = 0;
  train::RunHome home;
};

/// What a validation tells, a value a classifier.
///
///   train_lr, train_loss   [H]   learning rates; mean losses over the epoch's steps
///   images                 number of test images
struct LinearEpoch {
  int64_t epoch = 0;
  torch::Tensor train_lr;
  torch::Tensor train_loss;
  LinearHits test;
  int64_t images = 0;
};

/// The sweep: all classifiers learn from the same random crops, whose features are computed once.
/// Of several ranks each computes the features of its share; all take the same step on all of them,
/// so that the classifiers are those of one rank with the whole batch.
class LinearProbe final : public train::Loop {
 public:
  /// [B, 3, H, W] uint8 → [B, F] float32 on the device
  using Features = std::function<torch::Tensor(const torch::Tensor& crops)>;

  /// Throws DivergenceError where features of the test images are not finite.
  LinearProbe(const LinearProbeOptions& options, Features features, FeatureBank test,
              torch::Device device, dist::Group group = {});

  /// Told of every validation that reaches or exceeds the best accuracy.
  void set_on_best(std::function<void(const LinearEpoch&)> told) { on_best_ = std::move(told); }

  /// As Loop::run, from batches that begin where the state stands.
  train::Ending run(batch::BatchSource<batch::LabeledBatch>& batches);

  const LinearHeads& heads() const { return heads_; }
  /// State of the heads, of which the best one has the weights of the epoch that made it the best:
  /// what a file of classifiers holds, so that its best one has the accuracy that is reported.
  std::map<std::string, torch::Tensor> classifiers() const;
  /// The best classifier of all; and of those by SGD without weight decay, the published protocol.
  const LinearBest& best() const { return best_; }
  const LinearBest& best_sgd() const { return best_sgd_; }
  /// As options.lr lists it; the rate is what changes slowest from head to head.
  double listed_rate(int64_t head) const;

 private:
  train::StepColumns take_step() override;
  optim::StepValues values(int64_t step) const override;
  std::map<std::string, torch::Tensor> tensors() override;
  void load(std::map<std::string, torch::Tensor> tensors, bool roll_back) override;
  void end_epoch() override { losses_.zero_(); }
  std::string advice() const override { return "a lower linear.lr"; }

  std::optional<train::EvaluationRecord> validate(int64_t epoch);
  torch::Tensor whole_batch(const torch::Tensor& share) const;
  void keep_best();

  LinearProbeOptions options_;
  Features features_;
  FeatureBank test_;
  dist::Group group_;
  LinearHeads heads_;
  torch::Tensor losses_;  // [H], sums over the epoch's steps
  LinearBest best_;
  LinearBest best_sgd_;
  torch::Tensor best_weight_;  // [C, F], of best_ at its epoch
  torch::Tensor best_bias_;    // [C]
  std::function<void(const LinearEpoch&)> on_best_;
  batch::BatchSource<batch::LabeledBatch>* batches_ = nullptr;
};

}  // namespace ibot::eval
