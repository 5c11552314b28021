#include "ibot/train/student_teacher.h"

#include <ATen/CPUGeneratorImpl.h>

#include "ibot/train/autocast.h"

namespace ibot::train {
namespace {

/// All tokens as rows: class tokens first.
torch::Tensor all_rows(const models::BackboneOutput& output) {
  return torch::cat({output.class_token, output.patch_tokens.flatten(0, 1)});  // [B·(1 + N), D]
}

/// Class scores of the first `class_rows` features, patch scores of the rest.
loss::StudentOutput split_scores(models::ProjectionHead& head, const torch::Tensor& features,
                                 int64_t class_rows) {
  const auto patch_rows = features.size(0) - class_rows;
  if (head->shared()) {
    const auto logits = head->class_logits(features);  // one product for both
    return {logits.narrow(0, 0, class_rows), logits.narrow(0, class_rows, patch_rows)};
  }
  return {head->class_logits(features.narrow(0, 0, class_rows)),
          head->patch_logits(features.narrow(0, class_rows, patch_rows))};
}

}  // namespace

StudentTeacher::StudentTeacher(const models::BackboneOptions& backbone,
                               const models::HeadOptions& head, uint64_t seed)
    : masked_modeling_(backbone.masked_modeling) {
  student_ = register_module(
      "student", std::make_shared<models::Network>(backbone, head, models::Role::kStudent));
  teacher_ = register_module(
      "teacher", std::make_shared<models::Network>(backbone, head, models::Role::kTeacher));
  models::initialize_(*student_, at::detail::createCPUGenerator(seed));
  models::copy_values_(*student_, *teacher_);
  if (!head.shared && head.shared_teacher) {
    // The reference's teacher holds its one layer under both names, and the second copy wins.
    const torch::NoGradGuard no_grad;
    const auto from = student_->named_parameters();
    for (auto& parameter : teacher_->named_parameters()) {
      const auto at = parameter.key().find("last_layer.");
      if (at == std::string::npos) continue;
      auto second = parameter.key();
      parameter.value().copy_(from[second.replace(at, 11, "last_layer2.")]);
    }
  }
  for (auto& parameter : teacher_->parameters()) parameter.set_requires_grad(false);
}

loss::TeacherOutput StudentTeacher::teacher_forward(const batch::MultiCropBatch& batch) {
  const torch::NoGradGuard no_grad;
  auto& head = teacher_->head;
  const auto output = teacher_->backbone->forward(batch.global);
  const auto views = output.class_token.size(0);
  const auto features = head->trunk(all_rows(output));  // [G·B·(1 + N), F]
  const auto patches = features.narrow(0, views, features.size(0) - views);
  const auto used =
      torch::cat({features.narrow(0, 0, views), patches.index_select(0, batch.masked)});
  const auto scores = split_scores(head, used, views);
  // A mean taken in half precision would lose what the center needs.
  const AutocastScope full_precision(patches.device().type(), std::nullopt);
  const auto mean = head->patch_logits(patches.to(torch::kFloat).mean(0, true)).squeeze(0);
  return {scores.class_logits, scores.patch_logits, mean};
}

loss::StudentOutput StudentTeacher::student_forward(const batch::MultiCropBatch& batch) {
  auto& head = student_->head;
  auto& backbone = *student_->backbone;
  const auto mask = masked_modeling_ ? batch.mask : torch::Tensor();
  const bool has_local = batch.local.defined();
  const auto class_rows = batch.global.size(0) + (has_local ? batch.local.size(0) : 0);
  if (head->mixes_tokens()) {
    // Batch statistics span every token of a resolution, so every token has to pass.
    const auto views = batch.global.size(0);
    const auto features = head->trunk(all_rows(backbone.forward(batch.global, mask)));
    const auto patches = features.narrow(0, views, features.size(0) - views);
    std::vector<torch::Tensor> used{features.narrow(0, 0, views)};
    if (has_local) {
      const auto local = head->trunk(all_rows(backbone.forward(batch.local)));
      used.push_back(local.narrow(0, 0, batch.local.size(0)));
    }
    used.push_back(patches.index_select(0, batch.masked));
    return split_scores(head, torch::cat(used), class_rows);
  }
  const auto global = backbone.forward_selected(batch.global, mask, batch.masked);
  std::vector<torch::Tensor> used{global.class_token};
  if (has_local) used.push_back(backbone.forward_selected(batch.local, {}, {}).class_token);
  used.push_back(global.patch_tokens);
  return split_scores(head, head->trunk(torch::cat(used)), class_rows);
}

}  // namespace ibot::train
