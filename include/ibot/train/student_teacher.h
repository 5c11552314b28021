// The two networks of self-distillation and their forward passes.
#pragma once

#include <torch/nn/module.h>

#include <memory>

#include "ibot/batch/multi_crop_batch.h"
#include "ibot/loss/ibot_loss.h"
#include "ibot/models/network.h"

namespace ibot::train {

/// Student and teacher from the same options, equal at the start. Heads run only on tokens whose
/// scores are used: class tokens and masked patches; the mean over all of the teacher's patches,
/// which the center follows, is exact because prototypes are linear. Local crops have no patch
/// scores at all.
class StudentTeacher : public torch::nn::Module {
 public:
  /// Parameters are drawn from `seed` alone.
  StudentTeacher(const models::BackboneOptions& backbone, const models::HeadOptions& head,
                 uint64_t seed);

  /// Scores of the global views, without masks and without gradients.
  loss::TeacherOutput teacher_forward(const batch::MultiCropBatch& batch);
  /// Scores of all views, the global ones masked.
  loss::StudentOutput student_forward(const batch::MultiCropBatch& batch);

  models::Network& student() { return *student_; }
  models::Network& teacher() { return *teacher_; }
  const models::Network& student() const { return *student_; }
  const models::Network& teacher() const { return *teacher_; }

 private:
  bool masked_modeling_;
  std::shared_ptr<models::Network> student_;
  std::shared_ptr<models::Network> teacher_;
};

}  // namespace ibot::train
