#include "ibot/loss/ibot_loss.h"

#include <algorithm>

#include "ibot/loss/centering.h"
#include "ibot/loss/class_loss.h"
#include "ibot/loss/patch_loss.h"

namespace ibot::loss {
namespace {

/// Value `index` of `count` evenly spaced ones from `first` to `last`, then `last`.
double ramp(double first, double last, int64_t count, int64_t index) {
  if (index >= count) return last;
  if (count == 1) return first;
  return first + (last - first) * static_cast<double>(index) / static_cast<double>(count - 1);
}

}  // namespace

TeacherTemperatures teacher_temperatures(const LossOptions& options, int64_t mask_start_epoch,
                                         int64_t epoch) {
  const auto count = options.warmup_teacher_temp_epochs;
  const auto patch_epoch = std::max<int64_t>(epoch - mask_start_epoch, 0);
  const bool waiting = epoch < mask_start_epoch;
  return {.cls = ramp(options.warmup_teacher_temp, options.teacher_temp, count, epoch),
          .patch = waiting ? options.warmup_teacher_patch_temp
                           : ramp(options.warmup_teacher_patch_temp, options.teacher_patch_temp,
                                  count, patch_epoch)};
}

IbotLossImpl::IbotLossImpl(const LossOptions& options, int64_t prototypes, int64_t patch_prototypes)
    : options_(options) {
  center_ = register_buffer("center", torch::zeros({1, prototypes}));
  center2_ = register_buffer("center2", torch::zeros({1, 1, patch_prototypes}));
}

torch::Tensor IbotLossImpl::patch_target(const torch::Tensor& logits, double temperature) const {
  switch (options_.patch_target) {
    case PatchTarget::kCentered:
      return teacher_probabilities(logits, center2_, temperature);
    case PatchTarget::kSharpened:
      return sharpened_probabilities(logits, temperature);
    case PatchTarget::kHard:
      return most_likely(logits, center2_);
  }
  return {};
}

Targets IbotLossImpl::targets(const TeacherOutput& teacher,
                              TeacherTemperatures temperatures) const {
  return {teacher_probabilities(teacher.class_logits, center_, temperatures.cls).detach(),
          patch_target(teacher.patch_logits, temperatures.patch).detach()};
}

LossTerms IbotLossImpl::forward(const StudentOutput& student, const TeacherOutput& teacher,
                                const PatchAverage& average, int64_t global_views,
                                TeacherTemperatures temperatures) {
  const auto target = targets(teacher, temperatures);
  const auto class_term =
      class_loss(student.class_logits, target.cls, global_views, options_.student_temp) *
      options_.weight_cls;
  const auto patch_term = patch_loss(student.patch_logits, target.patch, average.weight,
                                     average.views, options_.student_temp) *
                          options_.weight_patch;
  return {class_term + patch_term, class_term, patch_term};
}

void IbotLossImpl::move_centers_(const torch::Tensor& class_mean, const torch::Tensor& patch_mean) {
  update_center_(center_, class_mean, options_.center_momentum);
  update_center_(center2_, patch_mean, options_.center_momentum_patch);
}

}  // namespace ibot::loss
