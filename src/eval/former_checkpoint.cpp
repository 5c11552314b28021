#include <nlohmann/json.hpp>

#include "ibot/base/error.h"
#include "ibot/eval/fine_tuner.h"
#include "ibot/io/safetensors.h"

namespace ibot::eval {
namespace {

using Metadata = std::map<std::string, std::string>;

std::string entry(const Metadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? std::string() : found->second;
}

/// What the loop counts of what was noted then.
train::RunState run_state(const nlohmann::json& before) {
  train::RunState run;
  before.at("step").get_to(run.step);
  before.at("steps_per_epoch").get_to(run.steps_per_epoch);
  IBOT_CHECK_AS(CheckpointError, run.steps_per_epoch > 0, "run state without steps");
  run.sums.steps = run.step % run.steps_per_epoch;
  before.at("loss").get_to(run.sums.loss);
  run.sums.more = {{"class_acc", before.at("correct")}, {"finite_norm", before.at("grad_norm")}};
  const int64_t best = before.at("best_epoch");
  if (best < 0) return run;
  run.best = {(best + 1) * run.steps_per_epoch,
              before.at("best_top1"),
              "",
              {{"top1", before.at("best_top1")}, {"top5", before.at("best_top5")}}};
  return run;
}

}  // namespace

std::optional<train::Checkpoint> read_former_checkpoint(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return std::nullopt;
  if (entry(io::read_safetensors_metadata(file), "format") != "ibot-fine-tuning") {
    return std::nullopt;
  }
  auto content = io::read_safetensors(file);
  try {
    return train::Checkpoint{
        .tensors = std::move(content.tensors),
        .run = run_state(nlohmann::json::parse(entry(content.metadata, "run"))),
        .config = entry(content.metadata, "config"),
        .source = file,
        .identity = entry(content.metadata, "identity")};
  } catch (const nlohmann::json::exception& problem) {
    throw CheckpointError(concat(file.string(), ": run state is unreadable: ", problem.what()));
  }
}

}  // namespace ibot::eval
