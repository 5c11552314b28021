#include "common/step_of_config.h"

#include <numeric>

#include "ibot/train/flops.h"

namespace ibot::apps {

train::StepOptions step_options(const config::RunConfig& config) {
  return {.backbone = config.backbone,
          .head = config.head,
          .loss = config.loss,
          .optim = config.optim,
          .precision = config.train.precision,
          .seed = static_cast<uint64_t>(config.train.seed),
          .global_views = config.augment.global_crops};
}

double useful_step_flops(const config::RunConfig& config) {
  const auto& ratio = config.mask.ratio;
  const auto& augment = config.augment;
  return train::step_flops(config.backbone, config.head,
                           {.global_crops = augment.global_crops,
                            .global_size = augment.global_size,
                            .local_crops = augment.local_crops,
                            .local_size = augment.local_size,
                            .masked_ratio = std::accumulate(ratio.begin(), ratio.end(), 0.0) /
                                            static_cast<double>(ratio.size())});
}

}  // namespace ibot::apps
