// Feature extraction options from a run's configuration.
#pragma once

#include "ibot/config/run_config.h"
#include "ibot/evaluation/extraction.h"

namespace ibot::apps {

/// For a single process, without a cache.
inline evaluation::ExtractionOptions extraction_options(const config::RunConfig& config,
                                                        const eval::FeatureOptions& features) {
  return {.features = features,
          .resize_size = config.eval.resize_size,
          .crop_size = config.eval.crop_size,
          .normalization = config.augment.normalization,
          .decode = config.data.decode,
          .batch_size = config.eval.batch_size,
          .workers = config.data.workers,
          .prefetch_batches = config.data.prefetch_batches};
}

}  // namespace ibot::apps
