#include "ibot-eval/settled.h"

#include <algorithm>

#include "ibot/base/error.h"
#include "ibot/optim/autocast.h"

namespace ibot::apps {
namespace {

/// Whether the task sees center crops of eval.crop_size.
bool sees_crops(const Task& task) {
  const auto& name = task.name;
  return task.reads
             ? task.reads->features()
             : name == "linear" || name == "embed" || name == "robustness" || name == "parts";
}

void check_crop(const Task& task, const config::RunConfig& run) {
  const auto crop = run.eval.crop_size;
  const auto patch = run.backbone.patch_size;
  IBOT_CHECK_AS(ConfigError, !sees_crops(task) || crop % patch == 0,
                "eval.crop_size: expected a multiple of backbone.patch_size ", patch, ", got ",
                crop, "; set eval.crop_size=", std::max<int64_t>(crop / patch, 1) * patch);
}

}  // namespace

void settle(const Task& task, torch::Device device, EvalConfig& config) {
  check_crop(task, config.run);
  if (config.transform.size == 0) config.transform.size = config.run.eval.crop_size;
  for (auto* run : {&config.finetune.run, &config.semi.run, &config.transfer.run,
                    &config.segment.run, &config.detect.run}) {
    const bool is_open = run->precision == optim::Precision::kAuto;
    if (is_open) run->precision = optim::resolved(run->precision, device);
  }
}

}  // namespace ibot::apps
