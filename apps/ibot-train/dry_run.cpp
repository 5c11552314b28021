#include "ibot-train/dry_run.h"

#include <chrono>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>

#include "common/logging.h"
#include "common/progress.h"
#include "common/run_main.h"
#include "common/step_of_config.h"
#include "common/units.h"
#include "ibot-train/start_summary.h"
#include "ibot/base/memory.h"

namespace ibot::apps {
namespace {

/// What a dry run finds out.
struct Cost {
  int64_t parameters_backbone = 0;
  int64_t parameters_trained = 0;
  double flops_per_step = 0.0;
  int64_t peak_memory_bytes = 0;
  double step_s = 0.0;
  double images_per_s = 0.0;
  int64_t steps = 0;

  double seconds() const { return static_cast<double>(steps) * step_s; }
};

void print_json(const std::string& run, const Cost& cost) {
  nlohmann::ordered_json summary;
  if (!run.empty()) summary["run"] = run;
  summary.update({{"parameters_backbone", cost.parameters_backbone},
                  {"parameters_trained", cost.parameters_trained},
                  {"flops_per_step", cost.flops_per_step},
                  {"peak_memory_bytes", cost.peak_memory_bytes},
                  {"step_s", cost.step_s},
                  {"images_per_s", cost.images_per_s},
                  {"steps", cost.steps},
                  {"hours", cost.seconds() / 3600.0}});
  std::cout << summary.dump(2) << '\n';
}

void print_lines(const std::string& run, const Cost& cost) {
  const auto count = [](auto value) { return format_count(static_cast<double>(value)); };
  const auto digits = std::setprecision(3);
  if (!run.empty()) std::cout << "of sweep    " << run << '\n';
  std::cout << "parameters  " << count(cost.parameters_backbone) << " in the backbone, "
            << count(cost.parameters_trained) << " trained with the heads\n"
            << "memory      " << format_bytes(static_cast<double>(cost.peak_memory_bytes))
            << " at most, the program included\n"
            << "step        " << digits << cost.step_s << " s, " << cost.images_per_s
            << " images/s, " << count(cost.flops_per_step) << "FLOP\n"
            << "run         " << cost.steps << " steps, " << format_duration(cost.seconds())
            << '\n';
}

}  // namespace

int dry_run(const TrainRequest& request, train::TrainStep& step,
            batch::BatchSource<batch::MultiCropBatch>& batches, int64_t steps_per_epoch) {
  const auto& config = request.config;
  using Clock = std::chrono::steady_clock;
  const auto ranks = step.group().size();
  double seconds = 0.0;
  log_info("two steps to measure, the first of which is slower");
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
  const Cost cost{.parameters_backbone = count_parameters(*step.networks().teacher().backbone),
                  .parameters_trained = count_parameters(step.networks().student()),
                  .flops_per_step = useful_step_flops(config) * images,
                  .peak_memory_bytes = peak_memory_bytes(step.device()),
                  .step_s = seconds,
                  .images_per_s = images / seconds,
                  .steps = config.train.epochs * steps_per_epoch};
  (request.json ? print_json : print_lines)(request.name, cost);
  return kDone;
}

}  // namespace ibot::apps
