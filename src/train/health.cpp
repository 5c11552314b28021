#include "ibot/train/health.h"

#include <ATen/ops/linalg_svdvals.h>
#include <ATen/ops/special_entr.h>

#include <algorithm>
#include <cmath>

#include "ibot/base/error.h"
#include "ibot/nn/autocast_scope.h"

namespace ibot::train {
namespace {

constexpr int64_t kMostImages = 128;  // their singular values take a few milliseconds
constexpr int64_t kFewestImages = 8;
constexpr double kLeastInformation = 0.01;  // nats
constexpr double kLeastRank = 1.05;
constexpr int64_t kCertain = 5;  // consecutive samples
constexpr double kSpike = 6.0;   // standard deviations
constexpr int64_t kLasting = 3;  // consecutive intervals

/// Entropy of each row of probabilities, in nats: [..., K] → [...]. special_entr is 0 at 0, where
/// -p log p would be NaN.
torch::Tensor entropy(const torch::Tensor& probabilities) {
  return at::special_entr(probabilities).sum(-1);
}

}  // namespace

HealthSample sample_health(const loss::Targets& targets, const torch::Tensor& class_token,
                           const torch::Tensor& center, const torch::Tensor& patch_center,
                           int64_t images) {
  const torch::NoGradGuard no_grad;
  const nn::AutocastScope full_precision(class_token.device().type(), std::nullopt);
  const auto mean_entropy = entropy(targets.cls).mean();
  // Without masked patches the mean would be NaN.
  const auto patch_entropy =
      targets.patch.size(0) > 0 ? entropy(targets.patch).mean() : torch::zeros_like(mean_entropy);
  // Mutual information of target and image; sharp but equal targets have 0, and so have uniform
  // ones.
  const auto information = entropy(targets.cls.mean(0)) - mean_entropy;
  return {.scalars = torch::stack(
              {mean_entropy, patch_entropy, information, center.norm(), patch_center.norm()}),
          .features = class_token.narrow(0, 0, std::min(images, kMostImages)).to(torch::kFloat)};
}

HealthRecord read_health(const HealthSample& sample, const dist::Group& group) {
  const auto rank = torch::tensor({effective_rank(sample.features)}, torch::kDouble);
  const auto values = torch::cat({sample.scalars.to(torch::kCPU, torch::kDouble), rank});
  group.all_reduce_(values, dist::Reduction::kMean);
  const auto* value = values.const_data_ptr<double>();
  // In the order of sample_health.
  return {.entropy_cls = value[0],
          .entropy_patch = value[1],
          .information_cls = value[2],
          .center_norm = value[3],
          .center_norm_patch = value[4],
          .feature_rank = value[5]};
}

double effective_rank(const torch::Tensor& features) {
  const auto host = features.to(torch::kCPU, torch::kDouble);
  if (!host.isfinite().all().item<bool>()) return 0.0;
  const auto singular = at::linalg_svdvals(host);
  // RankMe: exp of the entropy of the normalized singular values.
  const auto share = singular / singular.sum().clamp_min(1e-300);
  return entropy(share).exp().item<double>();
}

std::optional<std::string> HealthWatch::judge(int64_t step, const HealthRecord& health) {
  // Non-finite values are another fault than collapse.
  // During warm-up a teacher may look collapsed, and few images always do.
  const bool judged =
      step >= first_step_ && images_ >= kFewestImages && std::isfinite(health.information_cls);
  const bool collapsed =
      health.information_cls < kLeastInformation || health.feature_rank < kLeastRank;
  in_a_row_ = judged && collapsed ? in_a_row_ + 1 : 0;
  // Once for each collapse, not at every sample that follows.
  if (in_a_row_ != kCertain) return std::nullopt;
  return concat("the teacher has collapsed: its targets carry ", health.information_cls,
                " nats of information about the image (class entropy ", health.entropy_cls,
                "), its features have effective rank ", health.feature_rank,
                "; a lower loss.teacher_temp, a longer schedule.warmup_epochs, a lower optim.lr or "
                "head.norm_last_layer=true may help");
}

std::optional<SpikeWatch::Verdict> SpikeWatch::judge(double z) {
  in_a_row_ = z > kSpike ? in_a_row_ + 1 : 0;
  if (in_a_row_ == 0) return std::nullopt;
  return Verdict{
      concat("the loss is ", z, " standard deviations above its running mean",
             in_a_row_ >= kLasting ? concat(", for ", in_a_row_, " consecutive intervals") : "",
             "; a lower optim.lr or optim.clip_grad may help if it happens often"),
      in_a_row_ >= kLasting};
}

}  // namespace ibot::train
