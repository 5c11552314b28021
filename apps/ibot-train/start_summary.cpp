#include "ibot-train/start_summary.h"

#include <ATen/Parallel.h>

#include "common/units.h"
#include "ibot/config/yaml.h"
#include "ibot/optim/precision_options.h"

namespace ibot::apps {
namespace {

std::string batch_line(const config::RunConfig& config, int64_t ranks, int64_t steps_per_epoch) {
  const auto& train = config.train;
  const auto total = train.epochs * steps_per_epoch;
  const auto images = train.batch_size * ranks;
  auto line = concat("batch ", images, " images per step",
                     ranks == 1 ? "" : concat(" (", train.batch_size, " on each rank)"), ", ",
                     train.epochs, train.epochs == 1 ? " epoch, " : " epochs, ", total, " steps");
  if (train.max_steps > 0 && train.max_steps < total) {
    line += concat(", of which the first ", train.max_steps, " (train.max_steps)");
  }
  return line +
         concat("; learning rate up to ", config.optim.lr * static_cast<double>(images) / 256.0);
}

}  // namespace

int64_t count_parameters(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const auto& parameter : module.parameters()) count += parameter.numel();
  return count;
}

std::vector<std::string> start_summary(const TrainRequest& request, const Ranks& ranks,
                                       const train::TrainStep& step, int64_t steps_per_epoch) {
  const auto& config = request.config;
  const auto& networks = step.networks();
  const auto parameters = [](const torch::nn::Module& module) {
    return format_count(static_cast<double>(count_parameters(module)));
  };
  return {concat("network ", config.backbone.arch, ", patches of ", config.backbone.patch_size,
                 " pixels: ", parameters(*networks.teacher().backbone), " parameters, ",
                 parameters(networks.student()), " trained with the heads"),
          concat("device ", ranks.device, ", ", at::get_num_threads(),
                 at::get_num_threads() == 1 ? " thread" : " threads", ", precision ",
                 enum_name(config.train.precision), ", ", config.data.workers, " data workers"),
          batch_line(config, ranks.group.size(), steps_per_epoch),
          concat("output ", request.output.string())};
}

std::vector<std::string> changed_keys(const config::RunConfig& config) {
  const auto defaults = config::flat_values(config::RunConfig());
  std::vector<std::string> changed;
  for (const auto& [key, value] : config::flat_values(config)) {
    if (value != defaults.at(key)) changed.push_back(key + "=" + value);
  }
  return changed;
}

}  // namespace ibot::apps
