#include "ibot-train/official_run.h"

#include <cstdlib>
#include <filesystem>

#include "common/config_of_weights.h"
#include "common/logging.h"
#include "common/run_main.h"
#include "ibot-train/run_folder.h"
#include "ibot/config/yaml.h"
#include "ibot/io/torch_file.h"
#include "ibot/models/weights.h"
#include "ibot/train/official_checkpoint.h"

namespace ibot::apps {
namespace {

io::Value read_run(const std::string& file) {
  auto root = io::read_torch_file(file).root;
  IBOT_CHECK_AS(CheckpointError, train::is_official_checkpoint(root), file,
                ": expected a whole run to resume (student, teacher and optimizer), found none; "
                "use its weights with --init-from ",
                file);
  return root;
}

/// `config` with the values that the file's arguments give for keys that change results.
config::RunConfig told_config(const config::RunConfig& config, const models::Weights& weights) {
  if (!weights.config.empty()) {
    return config::parse_config<config::RunConfig>(weights.config, weights.source, {});
  }
  auto told = config::parse_config<config::RunConfig>(
      config::write_config(config), weights.source + " (args)", overrides_of_arguments(weights));
  told.train.batch_size = config.train.batch_size;
  told.train.precision = config.train.precision;
  if (config.head.shared) told.head.patch_prototypes = config.head.patch_prototypes;
  return told;
}

/// The learning rate scales with the number of images per step.
void warn_of_other_batch(const models::Weights& weights, int64_t global_batch) {
  const auto number = [&](const char* name) {
    const auto found = weights.arguments.find(name);
    return found == weights.arguments.end() ? 0 : std::atoll(found->second.c_str());
  };
  const auto before = number("batch_size_per_gpu") * number("world_size");
  if (before <= 0 || before == global_batch) return;
  log_warning(concat(weights.source, ": its run had ", before, " images per step, this one has ",
                     global_batch, "; set train.batch_size or the number of ranks to keep it"));
}

}  // namespace

bool resumes_official(const std::string& resume) {
  return resume != "auto" && resume != "none" && std::filesystem::is_regular_file(resume) &&
         open_input([&] { return io::is_torch_file(resume); });
}

config::RunConfig config_of_official(const std::string& file,
                                     const std::vector<std::string>& overrides) {
  const auto weights =
      open_input([&] { return models::weights_of(read_run(file), file, "student"); });
  if (!weights.config.empty()) {
    return config::parse_config<config::RunConfig>(weights.config, file, overrides);
  }
  return config::read_config<config::RunConfig>(
      "", open_input([&] { return overrides_of_weights(weights, overrides); }));
}

train::Checkpoint official_checkpoint(const TrainRequest& request, const train::TrainStep& step) {
  const auto& file = request.resume;
  const auto root = read_run(file);
  const auto weights = models::weights_of(root, file, "student");
  const auto differing = differing_keys(told_config(request.config, weights), request.config);
  IBOT_CHECK_AS(CheckpointError, differing.empty(), file, ": its run had other values: ", differing,
                "; restore these keys, or leave CONFIG out and take them from the file");
  warn_of_other_batch(weights, request.config.train.batch_size * step.group().size());
  auto checkpoint = train::from_official(root, file, step);
  // The loss scale belongs to the precision: dropped if this run has none, fresh if the file has
  // none.
  const auto own = step.state();
  std::erase_if(checkpoint.tensors, [&](const auto& entry) {
    return entry.first.starts_with("scaler.") && own.count(entry.first) == 0;
  });
  for (const auto& [name, tensor] : own) {
    if (name.starts_with("scaler.")) checkpoint.tensors.emplace(name, tensor);
  }
  checkpoint.source = file;
  if (checkpoint.config.empty()) checkpoint.config = config::write_config(request.config);
  return checkpoint;
}

}  // namespace ibot::apps
