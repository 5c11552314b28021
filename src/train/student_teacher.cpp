#include "ibot/train/student_teacher.h"

#include <ATen/CPUGeneratorImpl.h>

#include "ibot/nn/autocast_scope.h"

namespace ibot::train {
namespace {

/// All tokens as rows, class tokens first.
torch::Tensor all_rows(const models::BackboneOutput& output) {
  return torch::cat({output.class_token, output.patch_tokens.flatten(0, 1)});  // [B·(1 + N), D]
}

/// Class scores of the first `class_rows` features, patch scores of the rest.
loss::StudentOutput split_scores(models::ProjectionHead& head, const torch::Tensor& features,
                                 int64_t class_rows) {
  const auto patch_rows = features.size(0) - class_rows;
  if (head->shared()) {
    // One product for both, and one gradient: slices would fill and add a whole one each.
    const auto parts = head->class_logits(features).split_with_sizes({class_rows, patch_rows});
    return {.class_logits = parts[0], .patch_logits = parts[1]};
  }
  return {.class_logits = head->class_logits(features.narrow(0, 0, class_rows)),
          .patch_logits = head->patch_logits(features.narrow(0, class_rows, patch_rows))};
}

}  // namespace

torch::Tensor most_similar_patches(const torch::Tensor& patches) {
  const auto views = patches.size(0), count = patches.size(1);
  // float32: half precision cannot distinguish near neighbors.
  const nn::AutocastScope full_precision(patches.device().type(), std::nullopt);
  const auto unit = patches.to(torch::kFloat) /
                    patches.to(torch::kFloat).norm(2, -1, true).clamp_min(1e-12);  // [2·B, N, D]
  const auto similarity = unit.bmm(unit.roll(views / 2, 0).transpose(1, 2));       // [2·B, N, N]
  const auto other = torch::arange(views, similarity.options().dtype(torch::kLong))
                         .roll(views / 2)
                         .unsqueeze(1);  // [2·B, 1]
  return (similarity.argmax(-1) + other * count).flatten();
}

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
    // The reference's teacher registers its one layer under both names, and the second copy wins.
    const torch::NoGradGuard no_grad;
    const auto from = student_->named_parameters();
    for (auto& parameter : teacher_->named_parameters()) {
      const auto at = parameter.key().find("last_layer.");
      if (at == std::string::npos) continue;
      auto second = parameter.key();
      parameter.value().copy_(from[second.replace(at, 11, "last_layer2.")]);
    }
  }
  // The teacher follows by its average alone.
  for (auto& parameter : teacher_->parameters()) parameter.set_requires_grad(false);
}

loss::TeacherOutput StudentTeacher::teacher_forward(const batch::MultiCropBatch& batch) {
  const torch::NoGradGuard no_grad;
  auto& head = teacher_->head;
  auto& backbone = *teacher_->backbone;
  // The teacher sees no mask, and all tokens: the center follows the mean over every patch.
  const auto output = backbone.forward(batch.global);
  const auto views = output.class_token.size(0);
  auto rows = all_rows(output);  // [G·B·(1 + N), D]
  if (batch.pairs.student_local.defined()) {
    rows = torch::cat({rows, backbone.forward(batch.local).patch_tokens.flatten(0, 1)});
  }
  const auto features = head->trunk(rows);  // [G·B·(1 + N) (+ L·B·n if local crops are masked), F]
  const auto patches = features.narrow(0, views, features.size(0) - views);
  const auto targets = batch.pairs.teacher.defined() ? batch.pairs.teacher
                                                     : most_similar_patches(output.patch_tokens);
  const auto used = torch::cat({features.narrow(0, 0, views), patches.index_select(0, targets)});
  const auto scores = split_scores(head, used, views);
  // float32: a mean in half precision loses the small differences that the center follows.
  const nn::AutocastScope full_precision(patches.device().type(), std::nullopt);
  // Prototypes are linear: scores of the mean feature are the mean of all scores.
  const auto mean = head->patch_logits(patches.to(torch::kFloat).mean(0, true)).squeeze(0);
  return {scores.class_logits, scores.patch_logits, mean, output.class_token, output.patch_tokens};
}

struct StudentTeacher::UsedRows {
  models::SelectedTokens tokens;
  models::SelectedTokens features;  // if the head mixes tokens
};

StudentTeacher::UsedRows StudentTeacher::used_rows(const torch::Tensor& crops,
                                                   const torch::Tensor& mask,
                                                   const torch::Tensor& selected) {
  auto& head = student_->head;
  auto& backbone = *student_->backbone;
  // Without masked modeling the loss is still at the masked patches, of an image that is whole.
  const auto seen = masked_modeling_ ? mask : torch::Tensor();
  if (!head->mixes_tokens()) return {.tokens = backbone.forward_selected(crops, seen, selected)};
  // Batch norm statistics span all tokens of a resolution, so all tokens must pass the head.
  const auto rows = all_rows(backbone.forward(crops, seen));
  const auto used = [&, views = crops.size(0)](const torch::Tensor& all) {
    const auto patches = all.narrow(0, views, all.size(0) - views);
    return models::SelectedTokens{all.narrow(0, 0, views), selected.defined()
                                                               ? patches.index_select(0, selected)
                                                               : torch::Tensor()};
  };
  return {used(rows), used(head->trunk(rows))};
}

loss::StudentOutput StudentTeacher::student_forward(const batch::MultiCropBatch& batch) {
  auto& head = student_->head;
  const auto& pairs = batch.pairs;
  std::vector<UsedRows> crops{used_rows(batch.global, batch.mask, pairs.student)};
  int64_t class_rows = batch.global.size(0);
  if (batch.local.defined()) {
    crops.push_back(used_rows(batch.local, batch.local_mask, pairs.student_local));
    class_rows += batch.local.size(0);
  }
  // All class tokens, crop by crop, before all patch tokens: one call of the head for both.
  const auto class_rows_first = [&](models::SelectedTokens UsedRows::*part) {
    std::vector<torch::Tensor> rows;
    for (const auto& crop : crops) rows.push_back((crop.*part).class_token);
    for (const auto& crop : crops) {
      if ((crop.*part).patch_tokens.defined()) rows.push_back((crop.*part).patch_tokens);
    }
    return torch::cat(rows);
  };
  const auto tokens = class_rows_first(&UsedRows::tokens);
  const auto features =
      head->mixes_tokens() ? class_rows_first(&UsedRows::features) : head->trunk(tokens);
  auto output = split_scores(head, features, class_rows);
  output.class_token = tokens.narrow(0, 0, class_rows);
  output.patch_tokens = tokens.narrow(0, class_rows, tokens.size(0) - class_rows);
  return output;
}

}  // namespace ibot::train
