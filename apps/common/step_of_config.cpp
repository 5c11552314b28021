#include "common/step_of_config.h"

#include <numeric>

#include "ibot/train/flops.h"

namespace ibot::apps {
namespace {

double mean_ratio(const mask::MaskOptions& options) {
  return std::accumulate(options.ratio.begin(), options.ratio.end(), 0.0) /
         static_cast<double>(options.ratio.size());
}

/// Mean fraction of a global crop's patches in the loss. For pairs by position it is the upper
/// bound, reached only by crops that overlap completely.
double paired_share(const config::RunConfig& config) {
  if (config.mask.pairs != mask::PatchPairing::kMasked) return 1.0;
  const bool first_only = config.mask.views == mask::MaskViews::kFirstGlobal;
  return mean_ratio(config.mask) /
         static_cast<double>(first_only ? config.augment.global_crops : 1);
}

}  // namespace

train::StepOptions step_options(const config::RunConfig& config) {
  return {.backbone = config.backbone,
          .head = config.head,
          .loss = config.loss,
          .optim = config.optim,
          .precision = config.train.precision,
          .seed = static_cast<uint64_t>(config.train.seed),
          .global_views = config.augment.global_crops,
          .checkpoint_activations = config.train.checkpoint_activations,
          .shard_optimizer = config.train.shard_optimizer,
          .compress_gradients = config.train.compress_gradients};
}

double useful_step_flops(const config::RunConfig& config) {
  const auto& augment = config.augment;
  const bool all = config.mask.views == mask::MaskViews::kAll;
  return train::step_flops(config.backbone, config.head,
                           {.global_crops = augment.global_crops,
                            .global_size = augment.global_size,
                            .local_crops = augment.local_crops,
                            .local_size = augment.local_size,
                            .masked_ratio = paired_share(config),
                            .local_masked_ratio = all ? mean_ratio(config.mask) : 0.0});
}

}  // namespace ibot::apps
