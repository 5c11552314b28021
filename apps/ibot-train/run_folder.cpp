#include "ibot-train/run_folder.h"

#include "common/folder_lock.h"
#include "common/logging.h"
#include "common/output_folder.h"
#include "common/resume.h"
#include "common/run_main.h"
#include "ibot-train/official_run.h"
#include "ibot/config/yaml.h"
#include "ibot/io/file.h"

namespace ibot::apps {
namespace fs = std::filesystem;

namespace {

/// What a user who changes train.epochs wants.
std::string way_to_longer(const std::string& differing, const std::string& checkpoint) {
  if (differing.find("train.epochs ") == std::string::npos) return {};
  return concat("; to train longer, begin another --output with --init-from ", checkpoint);
}

}  // namespace

bool is_evaluation_key(const std::string& key) {
  bool found = key.starts_with("eval.");
  eval::EvaluationOptions().sections([&](const std::string& section, const auto&) {
    found = found || key.starts_with(section + ".");
  });
  return found;
}

bool holds_checkpoint(const fs::path& output) {
  std::error_code unknown;
  fs::directory_iterator entry(output / "checkpoints", unknown);
  for (; !unknown && entry != fs::directory_iterator(); entry.increment(unknown)) {
    if (entry->path().extension() == ".safetensors") return true;
  }
  return false;
}

void prepare_output(const fs::path& output) {
  prepare_folder(output);
  prepare_folder(output / "checkpoints");
}

void check_output(const fs::path& output) {
  std::error_code unknown;
  if (fs::exists(output / ".lock", unknown)) {
    const FolderLock lock(output);
  }
  check_folder(output);
}

void write_resolved_config(const TrainRequest& request) {
  io::write_file(request.output / "config.yaml", config::write_config(request.config));
}

std::string differing_keys(const config::RunConfig& before, const config::RunConfig& now) {
  const auto old_values = config::flat_values(before);
  std::string differing;
  for (const auto& [key, value] : config::flat_values(now, config::Keys::kOfResults)) {
    const auto& old_value = old_values.at(key);
    if (is_evaluation_key(key) || key.starts_with("train.init_") || value == old_value) continue;
    differing += (differing.empty() ? "" : ", ") + key + " " + old_value + " -> " + value;
  }
  return differing;
}

std::optional<train::Checkpoint> find_checkpoint(const TrainRequest& request,
                                                 const train::TrainStep& step) {
  if (request.resume == "none") return std::nullopt;
  return open_input([&]() -> std::optional<train::Checkpoint> {
    if (resumes_official(request.resume)) return official_checkpoint(request, step);
    const auto ranks = step.group().size();
    auto checkpoint = request.resume == "auto" ? newest_checkpoint(request.output / "checkpoints")
                                               : train::load_checkpoint(request.resume);
    if (!checkpoint) return std::nullopt;
    const auto source = checkpoint->source.string();
    auto before = config::parse_config<config::RunConfig>(checkpoint->config, source);
    const auto global_batch = request.config.train.batch_size * ranks;
    const bool known = checkpoint->run.global_batch > 0;
    IBOT_CHECK(!known || checkpoint->run.global_batch == global_batch, source,
               ": expected steps of ", checkpoint->run.global_batch,
               " images over all ranks, as before, got ", global_batch, ", ",
               request.config.train.batch_size, " on each of ", ranks,
               "; change train.batch_size or the number of ranks, choose another --output, or use "
               "--resume none to start over");
    // The global batch is equal: another division over ranks does not change results.
    if (known) before.train.batch_size = request.config.train.batch_size;
    const auto differing = differing_keys(before, request.config);
    IBOT_CHECK(differing.empty(), source, ": written by another configuration: ", differing,
               "; restore these keys, choose another --output, or use --resume none to start over",
               way_to_longer(differing, source));
    return checkpoint;
  });
}

}  // namespace ibot::apps
