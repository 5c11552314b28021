#include "ibot-eval/linear_state.h"

#include <nlohmann/json.hpp>

#include "ibot/base/error.h"
#include "ibot/io/safetensors.h"

namespace ibot::apps {
namespace {

nlohmann::json to_json(const eval::LinearBest& best) {
  return {best.head, best.epoch, best.top1, best.top5};
}

}  // namespace

void write_classifiers(const std::filesystem::path& file, const eval::LinearProbe& probe,
                       const Identity& identity) {
  const auto& state = probe.state();
  const nlohmann::json progress{{"next_epoch", state.step / state.steps_per_epoch},
                                {"best", to_json(probe.best())},
                                {"best_sgd", to_json(probe.best_sgd())}};
  io::write_safetensors(
      file, {probe.classifiers(), {{"identity", identity.text()}, {"progress", progress.dump()}}});
}

std::optional<train::Checkpoint> read_former_probe(const std::filesystem::path& file,
                                                   int64_t steps_per_epoch) {
  if (!std::filesystem::exists(file)) return std::nullopt;
  auto content = io::read_safetensors(file);
  train::Checkpoint checkpoint{.tensors = std::move(content.tensors),
                               .run = {.steps_per_epoch = steps_per_epoch},
                               .config = {},
                               .source = file,
                               .identity = content.metadata["identity"]};
  try {
    const auto progress = nlohmann::json::parse(content.metadata["progress"]);
    checkpoint.run.step = progress.at("next_epoch").get<int64_t>() * steps_per_epoch;
    std::vector<double> best;
    for (const char* name : {"best", "best_sgd"}) {
      for (const auto& value : progress.at(name)) best.push_back(value);
    }
    checkpoint.tensors["run.best"] = torch::tensor(best, torch::kDouble).view({2, -1});
    checkpoint.tensors["run.losses"] = torch::zeros({checkpoint.tensors.at("weight").size(0)});
  } catch (const std::exception& problem) {
    throw CheckpointError(
        concat(file.string(), ": expected the state of a linear probe: ", problem.what()));
  }
  return checkpoint;
}

}  // namespace ibot::apps
