// The two networks of self-distillation and their forward passes.
#pragma once

#include <torch/nn/module.h>

#include <memory>

#include "ibot/batch/multi_crop_batch.h"
#include "ibot/loss/ibot_loss.h"
#include "ibot/models/network.h"

namespace ibot::train {

/// For each patch the index, in the flattened patches, of the most similar one (cosine) in the
/// other of two crops; the first of several.
///
///   patches  [2·B, N, D]   crop-major
///   returns  [2·B·N]       int64, on the same device
///
/// Source: paper appendix E, "feat.".
torch::Tensor most_similar_patches(const torch::Tensor& patches);

/// Student and teacher from the same options, equal at the start. Heads run only on tokens whose
/// scores are used: class tokens and paired patches; the mean over all of the teacher's patches,
/// which the center follows, is exact because prototypes are linear. Local crops have patch scores
/// only where they are masked; the teacher then sees them too, for their patches alone.
class StudentTeacher : public torch::nn::Module {
 public:
  /// Parameters are drawn from `seed` alone.
  StudentTeacher(const models::BackboneOptions& backbone, const models::HeadOptions& head,
                 uint64_t seed);

  /// Scores and tokens of the global views and of paired patches, without masks and gradients.
  loss::TeacherOutput teacher_forward(const batch::MultiCropBatch& batch);
  /// Scores and tokens of all views, masked as the batch says.
  loss::StudentOutput student_forward(const batch::MultiCropBatch& batch);

  models::Network& student() { return *student_; }
  models::Network& teacher() { return *teacher_; }
  const models::Network& student() const { return *student_; }
  const models::Network& teacher() const { return *teacher_; }

 private:
  /// The student's class tokens and selected patches of some crops: as the backbone gives them, and
  /// where the head mixes tokens as features too.
  struct UsedRows;
  UsedRows used_rows(const torch::Tensor& crops, const torch::Tensor& mask,
                     const torch::Tensor& selected);

  bool masked_modeling_;
  std::shared_ptr<models::Network> student_;
  std::shared_ptr<models::Network> teacher_;
};

}  // namespace ibot::train
