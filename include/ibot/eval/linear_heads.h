// Linear classifiers of many settings, trained at once on the same features.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ibot/eval/linear_options.h"

namespace ibot::eval {

/// How one classifier is trained. `lr` is absolute.
struct LinearSetting {
  double lr = 0;
  double weight_decay = 0;
  bool lars = false;
};

/// Every combination, learning rate slowest, then weight decay, then optimizer (SGD before LARS);
/// rates are scaled by `total_batch` / 256.
std::vector<LinearSetting> linear_settings(const LinearOptions& options, int64_t total_batch);

/// Correct answers of each classifier and its mean cross-entropy.
///
///   top1, top5   [H]   int64
///   loss         [H]   float32
struct LinearHits {
  torch::Tensor top1;
  torch::Tensor top5;
  torch::Tensor loss;
};

/// H classifiers, independent of each other, as one weight tensor: scores, gradients and updates of
/// all are one matrix product each.
///
/// SGD and LARS with momentum 0.9; weight decay is added to the gradient; LARS scales a weight's
/// gradient by 0.001 |w| / |g| and leaves biases without decay.
///
/// Source: evaluation/eval_linear_multi.py of the reference implementation.
class LinearHeads {
 public:
  /// Weights normal with deviation 0.01, biases 0.
  LinearHeads(std::vector<LinearSetting> settings, int64_t features, int64_t classes, uint64_t seed,
              torch::Device device);

  /// One step on a batch, every learning rate times `lr_factor`.
  ///
  ///   features  [B, F]   float32
  ///   labels    [B]      int64
  ///   returns   [H]      mean cross-entropy before the step, on the device
  torch::Tensor step(const torch::Tensor& features, const torch::Tensor& labels, double lr_factor);

  /// How many images of a batch have their class first, or among the first five, and the loss. An
  /// image whose scores are not finite counts for neither and makes the loss NaN or infinite.
  LinearHits hits(const torch::Tensor& features, const torch::Tensor& labels) const;

  const std::vector<LinearSetting>& settings() const { return settings_; }

  /// weight [H, C, F], bias [H, C] and their momenta, by name; sharing memory with the heads.
  std::map<std::string, torch::Tensor> state() const;

 private:
  torch::Tensor scores(const torch::Tensor& features) const;
  void update_weight(const torch::Tensor& gradient, double lr_factor);
  void update_bias(const torch::Tensor& gradient, double lr_factor);

  std::vector<LinearSetting> settings_;
  torch::Tensor lr_;            // [H, 1, 1]
  torch::Tensor weight_decay_;  // [H, 1, 1]
  torch::Tensor lars_;          // [H, 1, 1] bool
  torch::Tensor weight_;
  torch::Tensor bias_;
  torch::Tensor weight_momentum_;
  torch::Tensor bias_momentum_;
};

/// The best classifier so far, accuracies in percent.
struct LinearBest {
  int64_t head = -1;
  int64_t epoch = -1;
  double top1 = -1;
  double top5 = -1;
};

/// `best` or, where one of `heads` reaches it, the last of the most accurate of them: of equals the
/// later head and the later epoch win. A head that diverged, whose loss is not finite, never does.
LinearBest better_of(const LinearBest& best, const LinearHits& hits, int64_t images, int64_t epoch,
                     const std::vector<int64_t>& heads);

/// Factor of the learning rate in an epoch: a cosine from 1 to 0.
double linear_lr_factor(int64_t epoch, int64_t epochs);

}  // namespace ibot::eval
