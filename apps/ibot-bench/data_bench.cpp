#include "ibot-bench/data_bench.h"

#include "common/loader_of_config.h"
#include "common/run_main.h"
#include "ibot/loading/open_dataset.h"

namespace ibot::apps {

void bench_data(const config::RunConfig& config, const std::string& folder, int repetitions,
                Figures& figures) {
  const auto dataset =
      open_input([&] { return data::open_images(folder, data::Labels::kIgnored); });
  const auto& images = *dataset;
  auto options = loader_options(config);
  options.batch_size = std::min(options.batch_size, images.size());
  options.num_epochs = 1;
  const auto& normalization = config.augment.normalization;
  const auto steps = data::steps_per_epoch(images.size(), options.batch_size, 1);
  figures.measure({.name = "data", .images = static_cast<double>(steps * options.batch_size)},
                  {.repetitions = repetitions}, [&] {
                    data::MultiCropLoader loader(images, options);
                    while (const auto batch = loader.next()) {
                      batch::prepared(*batch, torch::kCPU, normalization);
                    }
                  });
}

}  // namespace ibot::apps
