#include "ibot/eval/features.h"

#include <torch/utils.h>

#include <algorithm>
#include <vector>

#include "ibot/eval/evaluation_mode.h"
#include "ibot/models/architecture.h"

namespace ibot::eval {

torch::Tensor unit_length(const torch::Tensor& features) {
  // torch.nn.functional.normalize's floor.
  return features / features.norm(2, 1, true).clamp_min(1e-12);
}

void check_finite(const torch::Tensor& features, const std::string& task, const std::string& name) {
  // The extremes are NaN where any value is, and unlike isfinite they take no memory of the
  // features' size.
  const auto [least, largest] = features.aminmax();
  IBOT_CHECK(least.isfinite().item<bool>() && largest.isfinite().item<bool>(), task,
             ": expected finite ", name, "; the weights may have diverged");
}

FeatureOptions resolved(const FeatureOptions& options, bool linear_probing,
                        const models::BackboneOptions& backbone) {
  if (options.pooling != Pooling::kPublished) {
    return {options.pooling, std::max<int64_t>(options.blocks, 1), options.patches};
  }
  // Published: linear probes of ViT-S and Swin read four blocks' class tokens, of larger ViTs the
  // class token and the mean patch; all else the class token.
  if (!linear_probing) return {Pooling::kClass, 1};
  const auto* preset = models::find_preset(backbone.arch);
  const auto probed = preset != nullptr ? preset->probed_blocks : 0;
  const auto blocks = std::min(probed, models::architecture_of(backbone.arch).blocks(backbone));
  return blocks > 0 ? FeatureOptions{Pooling::kClass, blocks}
                    : FeatureOptions{Pooling::kClassAndPatchMean, 1};
}

torch::Tensor image_features(models::Backbone& backbone, const torch::Tensor& images,
                             const FeatureOptions& options) {
  IBOT_CHECK(options.pooling != Pooling::kPublished && options.blocks > 0,
             "features: expected a pooling of one block or more, got ", enum_name(options.pooling),
             " of ", options.blocks);
  if (options.pooling == Pooling::kPatchMean) return backbone.mean_patch_token(images);
  if (options.patches > 0) {
    return part_features(backbone.attended_patches(images), options.patches,
                         options.pooling == Pooling::kHighestPatches);
  }
  const auto outputs = backbone.intermediate(images, options.blocks);
  std::vector<torch::Tensor> parts;
  for (const auto& output : outputs) parts.push_back(output.class_token);
  if (options.pooling == Pooling::kClassAndPatchMean) {
    parts.push_back(outputs.back().patch_tokens.mean(1));
  }
  return torch::cat(parts, -1);  // [B, F]
}

torch::Tensor part_features(const models::AttendedPatches& patches, int64_t count, bool highest) {
  // Ranked by the class token's attention, averaged over heads: [B, N].
  const auto rank = patches.attention.mean(1).argsort(/*stable=*/true, /*dim=*/-1, highest);
  const auto chosen = rank.narrow(1, 0, std::min(count, rank.size(1)));  // [B, count]
  const auto index = chosen.unsqueeze(-1).expand({-1, -1, patches.patch_tokens.size(2)});
  return patches.patch_tokens.gather(1, index).mean(1);
}

FeatureBank collect_features(const Embedding& embedding,
                             batch::BatchSource<batch::LabeledBatch>& source, torch::Device device,
                             const FeatureProgress& progress) {
  // Not InferenceMode: a linear probe trains on these features.
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> features;
  std::vector<torch::Tensor> labels;
  std::vector<torch::Tensor> ids;
  int64_t images = 0;
  while (const auto batch = source.next()) {
    const auto pixels = batch->image.to(device, /*non_blocking=*/true);
    features.push_back(embedding(pixels).to(torch::kCPU));
    labels.push_back(batch->label);
    ids.push_back(batch->sample_id);
    images += batch->image.size(0);
    if (progress) progress(images);
  }
  if (images == 0) {
    const auto none = torch::empty({0}, torch::kLong);
    return {torch::empty({0, 0}), none, none, {}};
  }
  return {torch::cat(features).to(torch::kFloat), torch::cat(labels), torch::cat(ids), {}};
}

FeatureBank extract_features(models::Backbone& backbone,
                             batch::BatchSource<batch::LabeledBatch>& source,
                             const FeatureOptions& options,
                             const batch::Normalization& normalization, torch::Device device,
                             const FeatureProgress& progress) {
  const EvaluationMode evaluation_mode(backbone);
  const auto embedding = [&](const torch::Tensor& pixels) {
    return image_features(backbone, batch::normalized(pixels, normalization), options);
  };
  auto bank = collect_features(embedding, source, device, progress);
  IBOT_CHECK_AS(DataError, bank.labels.size(0) > 0,
                "features: expected at least one image, got none");
  return bank;
}

}  // namespace ibot::eval
