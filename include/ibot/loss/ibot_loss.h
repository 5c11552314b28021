// The terms of the loss, weighted, with their centers.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <string_view>
#include <vector>

#include "ibot/loss/loss_options.h"

namespace ibot::loss {

/// The student's scores, and its tokens before the head.
///
///   class_logits  [V·B, K]   all views, crop-major, global views first
///   patch_logits  [M, K']    at the patches that learn
///   class_token   [V·B, D]
///   patch_tokens  [M, D]
struct StudentOutput {
  torch::Tensor class_logits;
  torch::Tensor patch_logits;
  torch::Tensor class_token;
  torch::Tensor patch_tokens;
};

/// The teacher's scores of the global views, and its tokens before the head.
///
///   class_logits  [G·B, K]
///   patch_logits  [M, K']       at the patches learnt from, row by row
///   patch_mean    [K']          mean over all patches that the teacher sees: what the center
///   follows class_token   [G·B, D] patch_tokens  [G·B, N, D]   all of them
struct TeacherOutput {
  torch::Tensor class_logits;
  torch::Tensor patch_logits;
  torch::Tensor patch_mean;
  torch::Tensor class_token;
  torch::Tensor patch_tokens;
};

/// Distributions that the student learns.
///
///   cls    [G·B, K]   float32
///   patch  [M, K']    float32
struct Targets {
  torch::Tensor cls;
  torch::Tensor patch;
};

/// How patch scores are averaged: as patch_loss does.
///
///   weight   [M]   1 / (number of patches of that view among the M)
///   views    number of views
struct PatchAverage {
  torch::Tensor weight;
  int64_t views = 0;
};

/// Temperatures of the teacher in one epoch.
struct TeacherTemperatures {
  double cls = 0.0;
  double patch = 0.0;
};

/// Linear ramps over `warmup_teacher_temp_epochs`, both ends included, then constant; the patch
/// ramp starts at `mask_start_epoch`. A run shorter than the ramps ends within them.
TeacherTemperatures teacher_temperatures(const LossOptions& options, int64_t mask_start_epoch,
                                         int64_t epoch);

/// One part of the loss: `value` is a scalar on the device, its weight included.
struct LossTerm {
  std::string_view name;
  double weight = 0.0;
  torch::Tensor value;
};

/// The terms in the order of the loss, and their sum. Whatever records losses loops over the list:
/// a term is called loss_NAME in metrics, train_NAME in log.txt. "cls" and "patch" are always
/// there, others where their weight is not 0.
struct LossTerms {
  torch::Tensor total;
  std::vector<LossTerm> terms;

  /// The value of the term `name`, which must be there.
  const torch::Tensor& operator[](std::string_view name) const;
};

/// Source: paper section 3.1; reference `main_ibot.py` (iBOTLoss).
class IbotLossImpl : public torch::nn::Module {
 public:
  IbotLossImpl(const LossOptions& options, int64_t prototypes, int64_t patch_prototypes);

  /// The loss against the centers as they are.
  LossTerms forward(const StudentOutput& student, const TeacherOutput& teacher,
                    const PatchAverage& average, int64_t global_views,
                    TeacherTemperatures temperatures);

  /// Moves the centers, once for all parts and ranks of a batch.
  ///
  ///   class_mean  [K]    mean over the whole batch of the teacher's raw class scores
  ///   patch_mean  [K']   likewise of the patches
  void move_centers_(const torch::Tensor& class_mean, const torch::Tensor& patch_mean);

  /// What forward compares with, by the centers as they are; without gradient.
  Targets targets(const TeacherOutput& teacher, TeacherTemperatures temperatures) const;

  /// [1, K] and [1, 1, K']
  const torch::Tensor& center() const { return center_; }
  const torch::Tensor& patch_center() const { return center2_; }

 private:
  torch::Tensor class_target(const TeacherOutput& teacher, TeacherTemperatures temperatures) const;

  LossOptions options_;
  torch::Tensor center_;
  torch::Tensor center2_;
};
TORCH_MODULE(IbotLoss);

}  // namespace ibot::loss
