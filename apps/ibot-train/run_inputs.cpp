#include "ibot-train/run_inputs.h"

#include "common/run_main.h"
#include "ibot/loading/loader.h"
#include "ibot/loading/open_dataset.h"

namespace ibot::apps {

std::unique_ptr<data::Dataset> open_images(const config::RunConfig& config) {
  IBOT_CHECK_AS(ConfigError, !config.data.path.empty(),
                "data.path: expected the root of an image folder, got nothing; add data.path=DIR");
  return open_input([&] { return data::open_images(config.data.path, data::Labels::kIgnored); });
}

std::unique_ptr<InRunEvaluations> open_evaluations(const config::RunConfig& config) {
  auto planned = evaluation::planned(config.eval, config.evaluations);
  if (config.eval.path.empty() || planned.empty()) return nullptr;
  return std::make_unique<InRunEvaluations>(config, std::move(planned));
}

int64_t steps_of_epoch(const data::Dataset& images, const config::RunConfig& config, int64_t ranks,
                       const std::optional<train::Checkpoint>& checkpoint) {
  const auto own = open_input(
      [&] { return data::steps_per_epoch(images.size(), config.train.batch_size, ranks); });
  if (!checkpoint || checkpoint->run.global_batch == 0) return own;
  const auto before = checkpoint->run.steps_per_epoch;
  const auto whole = images.size() / checkpoint->run.global_batch;
  const bool padded = images.size() % checkpoint->run.global_batch != 0;
  return before == whole || (padded && before == whole + 1) ? before : own;
}

}  // namespace ibot::apps
