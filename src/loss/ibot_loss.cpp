#include "ibot/loss/ibot_loss.h"

#include <algorithm>

#include "ibot/base/error.h"
#include "ibot/loss/centering.h"
#include "ibot/loss/class_loss.h"
#include "ibot/loss/cross_entropy.h"
#include "ibot/loss/koleo_loss.h"
#include "ibot/loss/patch_loss.h"

namespace ibot::loss {
namespace {

/// What a term may look at.
struct TermInputs {
  const LossOptions& options;
  const StudentOutput& student;
  const TeacherOutput& teacher;
  const torch::Tensor& class_target;
  const TargetRows& patch_target;
  const PatchAverage& average;
  int64_t global_views;
};

torch::Tensor patch_targets(PatchTarget kind, const torch::Tensor& logits,
                            const torch::Tensor& center, double temperature) {
  switch (kind) {
    case PatchTarget::kCentered:
      return teacher_probabilities(logits, center, temperature);
    case PatchTarget::kSharpened:
      return sharpened_probabilities(logits, temperature);
    case PatchTarget::kHard:
      return most_likely(logits, center);
  }
  return {};
}

/// The same for some rows at a time. The center is copied: it may move before the backward pass.
TargetRows patch_target_rows(PatchTarget kind, const torch::Tensor& logits,
                             const torch::Tensor& center, double temperature) {
  const auto copied = center.clone();
  TargetRows rows(
      {logits.detach(), copied},
      [kind, temperature](const std::vector<torch::Tensor>& sources, int64_t first, int64_t count) {
        return patch_targets(kind, sources[0].narrow(0, first, count), sources[1], temperature);
      });
  // Hard targets have no softmax; sharpened ones are centered ones with a center of 0.
  if (kind != PatchTarget::kHard) {
    const bool moved = kind == PatchTarget::kCentered;
    rows.centered = {logits.detach(), (moved ? copied : torch::zeros_like(copied)).flatten(),
                     temperature};
  }
  return rows;
}

torch::Tensor class_term(const TermInputs& in) {
  return class_loss(in.student.class_logits, in.class_target, in.global_views,
                    in.options.student_temp);
}

torch::Tensor patch_term(const TermInputs& in) {
  return patch_loss(in.student.patch_logits, in.patch_target, in.average.weight, in.average.views,
                    in.options.student_temp);
}

torch::Tensor koleo_term(const TermInputs& in) {
  const auto images = in.teacher.class_logits.size(0) / in.global_views;
  // The G·B global rows are the first; local crops take no part.
  return koleo_loss(in.student.class_token.narrow(0, 0, in.global_views * images), in.global_views);
}

/// A row of the table of terms; a new term of the loss is one more row.
struct Term {
  std::string_view name;
  double LossOptions::*weight;
  torch::Tensor (*value)(const TermInputs&);
  bool always;  // recorded even with weight 0
};

constexpr Term kTerms[] = {{"cls", &LossOptions::weight_cls, class_term, true},
                           {"patch", &LossOptions::weight_patch, patch_term, true},
                           {"koleo", &LossOptions::weight_koleo, koleo_term, false}};

/// Value `index` of `count` evenly spaced ones from `first` to `last`, then `last`.
double ramp(double first, double last, int64_t count, int64_t index) {
  if (index >= count) return last;
  // As numpy.linspace, which builds the reference's table.
  if (count == 1) return first;
  return first + (last - first) * static_cast<double>(index) / static_cast<double>(count - 1);
}

}  // namespace

const torch::Tensor& LossTerms::operator[](std::string_view name) const {
  const auto term = std::find_if(terms.begin(), terms.end(),
                                 [&](const LossTerm& candidate) { return candidate.name == name; });
  IBOT_CHECK(term != terms.end(), "loss: no term ", name);
  return term->value;
}

TeacherTemperatures teacher_temperatures(const LossOptions& options, int64_t mask_start_epoch,
                                         int64_t epoch) {
  const auto count = options.warmup_teacher_temp_epochs;
  const auto patch_epoch = std::max<int64_t>(epoch - mask_start_epoch, 0);
  // The patch ramp starts with the masks, as in the reference.
  const bool waiting = epoch < mask_start_epoch;
  return {.cls = ramp(options.warmup_teacher_temp, options.teacher_temp, count, epoch),
          .patch = waiting ? options.warmup_teacher_patch_temp
                           : ramp(options.warmup_teacher_patch_temp, options.teacher_patch_temp,
                                  count, patch_epoch)};
}

IbotLossImpl::IbotLossImpl(const LossOptions& options, int64_t prototypes, int64_t patch_prototypes)
    : options_(options) {
  // Shapes and names as in the reference's iBOTLoss, whose state a checkpoint holds.
  center_ = register_buffer("center", torch::zeros({1, prototypes}));
  center2_ = register_buffer("center2", torch::zeros({1, 1, patch_prototypes}));
}

Targets IbotLossImpl::targets(const TeacherOutput& teacher,
                              TeacherTemperatures temperatures) const {
  return {class_target(teacher, temperatures),
          patch_targets(options_.patch_target, teacher.patch_logits.detach(), center2_,
                        temperatures.patch)};
}

torch::Tensor IbotLossImpl::class_target(const TeacherOutput& teacher,
                                         TeacherTemperatures temperatures) const {
  return teacher_probabilities(teacher.class_logits.detach(), center_, temperatures.cls);
}

LossTerms IbotLossImpl::forward(const StudentOutput& student, const TeacherOutput& teacher,
                                const PatchAverage& average, int64_t global_views,
                                TeacherTemperatures temperatures) {
  // Class targets are few and held; patch targets are computed row by row where they are needed.
  const auto cls = class_target(teacher, temperatures);
  const auto patch =
      patch_target_rows(options_.patch_target, teacher.patch_logits, center2_, temperatures.patch);
  const TermInputs inputs{options_, student, teacher, cls, patch, average, global_views};
  LossTerms loss;
  for (const auto& term : kTerms) {
    const double weight = options_.*term.weight;
    if (weight == 0.0 && !term.always) continue;
    // The weight is part of what is logged, as in the reference.
    loss.terms.push_back({term.name, weight, term.value(inputs) * weight});
    const auto& value = loss.terms.back().value;
    loss.total = loss.total.defined() ? loss.total + value : value;
  }
  return loss;
}

void IbotLossImpl::move_centers_(const torch::Tensor& class_mean, const torch::Tensor& patch_mean) {
  update_center_(center_, class_mean, options_.center_momentum);
  update_center_(center2_, patch_mean, options_.center_momentum_patch);
}

}  // namespace ibot::loss
