#include "ibot-train/dry_run.h"

#include <chrono>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "common/run_main.h"
#include "common/step_of_config.h"
#include "ibot/base/memory.h"

namespace ibot::apps {
namespace {

int64_t count_parameters(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const auto& parameter : module.parameters()) count += parameter.numel();
  return count;
}

}  // namespace

int dry_run(const config::RunConfig& config, train::TrainStep& step,
            batch::BatchSource<batch::MultiCropBatch>& batches, int64_t steps_per_epoch) {
  using Clock = std::chrono::steady_clock;
  const auto ranks = step.group().size();
  double seconds = 0.0;
  for (int64_t i = 0; i < 2; ++i) {
    const auto loaded = batches.next();
    IBOT_CHECK(loaded.has_value(), "dry run: no batch");
    const auto start = Clock::now();
    std::vector<batch::MultiCropBatch> parts;
    for (const auto& part : batch::split(*loaded, config.train.accumulate_steps)) {
      parts.push_back(batch::prepared(part, step.device(), config.augment.normalization));
    }
    const auto inputs = train::step_inputs(
        step.options(), config.schedule, config.mask.start_epoch,
        {config.train.epochs, steps_per_epoch, config.train.batch_size * ranks}, i);
    const auto loss = step.run(parts, inputs).loss.total.item<double>();  // waits for the device
    IBOT_CHECK_AS(DivergenceError, std::isfinite(loss), "dry run: loss ", loss, " at step ", i);
    // The second step's time: the first includes allocation and warm-up.
    seconds = std::chrono::duration<double>(Clock::now() - start).count();
  }
  if (step.group().rank() != 0) return kDone;
  const auto images = static_cast<double>(config.train.batch_size * ranks);
  const auto total = static_cast<double>(config.train.epochs * steps_per_epoch);
  const nlohmann::ordered_json summary{
      {"parameters_backbone", count_parameters(*step.networks().teacher().backbone)},
      {"parameters_trained", count_parameters(step.networks().student())},
      {"flops_per_step", useful_step_flops(config) * images},
      {"peak_memory_bytes", peak_memory_bytes(step.device())},
      {"step_s", seconds},
      {"images_per_s", images / seconds},
      {"steps", static_cast<int64_t>(total)},
      {"hours", total * seconds / 3600.0}};
  std::cout << summary.dump(2) << '\n';
  return kDone;
}

}  // namespace ibot::apps
