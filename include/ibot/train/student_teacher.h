// The two networks of self-distillation and their forward passes.
#pragma once

#include <torch/nn/module.h>

#include <memory>

#include "ibot/batch/multi_crop_batch.h"
#include "ibot/loss/ibot_loss.h"
#include "ibot/models/network.h"

namespace ibot::train {

/// For each patch, the index into the flattened patches of the most similar one (cosine) in the
/// other of two crops; the first of equals.
///
///   patches  [2·B, N, D]   crop-major
///   returns  [2·B·N]       int64, on the same device
///
/// Source: paper appendix E, "feat.".
torch::Tensor most_similar_patches(const torch::Tensor& patches);

/// Student and teacher with the same options, initially equal. Heads run only on tokens whose
/// scores are used: class tokens and paired patches. The mean over all of the teacher's patches,
/// which the center follows, is exact because prototypes are linear. Local crops have patch scores
/// only if they are masked; the teacher then sees them too, for their patches only.
class StudentTeacher : public torch::nn::Module {
 public:
  /// Initial parameters depend on `seed` only.
  StudentTeacher(const models::BackboneOptions& backbone, const models::HeadOptions& head,
                 uint64_t seed);

  /// Scores and tokens of global views and paired patches, unmasked and without gradients.
  loss::TeacherOutput teacher_forward(const batch::MultiCropBatch& batch);
  /// Scores and tokens of all views, masked by the batch.
  loss::StudentOutput student_forward(const batch::MultiCropBatch& batch);

  models::Network& student() { return *student_; }
  models::Network& teacher() { return *teacher_; }
  const models::Network& student() const { return *student_; }
  const models::Network& teacher() const { return *teacher_; }

 private:
  /// The student's class tokens and selected patches of some crops: backbone tokens, and features
  /// as well if the head mixes tokens.
  struct UsedRows;
  UsedRows used_rows(const torch::Tensor& crops, const torch::Tensor& mask,
                     const torch::Tensor& selected);

  bool masked_modeling_;
  std::shared_ptr<models::Network> student_;
  std::shared_ptr<models::Network> teacher_;
};

}  // namespace ibot::train
