#include "ibot-bench/data_bench.h"

#include "common/run_main.h"
#include "ibot-bench/measure.h"
#include "ibot/data/loader.h"
#include "ibot/data/open_dataset.h"
#include "ibot/models/backbone.h"

namespace ibot::apps {

void bench_data(const config::RunConfig& config, const std::string& folder, int repetitions) {
  const auto dataset = open_input([&] { return data::open_images(folder); });
  const auto& images = *dataset;
  const data::MultiCropLoaderOptions options{
      .data = config.data,
      .augment = config.augment,
      .mask = config.mask,
      .grid = models::mask_grid(config.backbone, config.augment.global_size),
      .local_grid = models::mask_grid(config.backbone, config.augment.local_size),
      .seed = static_cast<uint64_t>(config.train.seed),
      .batch_size = std::min(config.train.batch_size, images.size()),
      .share = {}};
  const batch::Normalization normalization{config.augment.mean, config.augment.std};
  const auto steps = data::steps_per_epoch(images.size(), options.batch_size, 1);
  measure({.name = "data",
           .images = static_cast<double>(steps * options.batch_size),
           .repetitions = repetitions},
          [&] {
            data::MultiCropLoader loader(images, options);
            while (const auto batch = loader.next()) {
              batch::prepared(*batch, torch::kCPU, normalization);
            }
          });
}

}  // namespace ibot::apps
