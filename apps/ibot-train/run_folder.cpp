#include "ibot-train/run_folder.h"

#include <array>

#include "common/run_main.h"
#include "ibot/config/yaml.h"
#include "ibot/io/file.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

/// Keys that may change between a run and its continuation: they decide where data lie, how often
/// something is written and how fast the run goes, not what it computes.
constexpr std::array kFreeKeys{"data.path",
                               "data.workers",
                               "data.prefetch_batches",
                               "data.max_bad_share",
                               "train.device",
                               "train.max_steps",
                               "train.save_every_epochs",
                               "train.save_every_steps",
                               "train.log_every_steps",
                               "train.accumulate_steps",
                               "train.checkpoint_activations",
                               "train.shard_optimizer",
                               "train.rank_timeout_s"};

bool is_free(const std::string& key) {
  return key.rfind("eval.", 0) == 0 ||
         std::find(kFreeKeys.begin(), kFreeKeys.end(), key) != kFreeKeys.end();
}

/// "optim.lr 0.001 -> 0.002" for each key that differs and matters.
std::string differing_keys(const config::RunConfig& before, const config::RunConfig& now) {
  const auto old_values = config::flat_values(before);
  std::string differing;
  for (const auto& [key, value] : config::flat_values(now)) {
    const auto& old_value = old_values.at(key);
    if (is_free(key) || value == old_value) continue;
    differing += (differing.empty() ? "" : ", ") + key + " " + old_value + " -> " + value;
  }
  return differing;
}

}  // namespace

void prepare_output(const fs::path& output) {
  open_input([&] {
    std::error_code problem;
    fs::create_directories(output / "checkpoints", problem);
    IBOT_CHECK(!problem, output.string(), ": cannot create the folder: ", problem.message());
    io::write_file(output / ".writable", "");
    fs::remove(output / ".writable");
  });
}

void write_resolved_config(const TrainRequest& request) {
  io::write_file(request.output / "config.yaml", config::write_config(request.config));
}

std::optional<train::Checkpoint> find_checkpoint(const TrainRequest& request, int64_t ranks) {
  if (request.resume == "none") return std::nullopt;
  const bool automatic = request.resume == "auto";
  const fs::path path =
      automatic ? request.output / "checkpoints/last.safetensors" : fs::path(request.resume);
  if (automatic && !fs::exists(path)) return std::nullopt;
  return open_input([&] {
    auto checkpoint = train::load_checkpoint(path);
    auto before = config::parse_config<config::RunConfig>(checkpoint.config, path.string());
    const auto global_batch = request.config.train.batch_size * ranks;
    const bool known = checkpoint.run.global_batch > 0;
    IBOT_CHECK(!known || checkpoint.run.global_batch == global_batch, path.string(),
               ": expected steps of ", checkpoint.run.global_batch,
               " images over all ranks, as the run has had, got ", global_batch, ", ",
               request.config.train.batch_size, " on each of ", ranks,
               "; change train.batch_size or the number of ranks, choose another --output, or use "
               "--resume none to start anew");
    if (known) before.train.batch_size = request.config.train.batch_size;
    const auto differing = differing_keys(before, request.config);
    IBOT_CHECK(differing.empty(), path.string(), ": written by another configuration: ", differing,
               "; restore these keys, choose another --output, or use --resume none to start anew");
    return checkpoint;
  });
}

}  // namespace ibot::apps
