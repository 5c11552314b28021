// Loader options from a run's configuration.
#pragma once

#include "ibot/config/run_config.h"
#include "ibot/loading/loader.h"
#include "ibot/models/backbone.h"

namespace ibot::apps {

/// For a single rank, from the first step.
inline data::MultiCropLoaderOptions loader_options(const config::RunConfig& config) {
  return {.data = config.data,
          .augment = config.augment,
          .mask = config.mask,
          .grid = models::mask_grid(config.backbone, config.augment.global_size),
          .local_grid = models::mask_grid(config.backbone, config.augment.local_size),
          .seed = static_cast<uint64_t>(config.train.seed),
          .batch_size = config.train.batch_size,
          .share = {},
          .num_epochs = config.train.epochs};
}

}  // namespace ibot::apps
