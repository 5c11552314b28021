#include "ibot/train/run_state.h"

#include <nlohmann/json.hpp>

#include "ibot/base/error.h"

namespace ibot::train {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(EpochSums, steps, loss, loss_cls, loss_patch, lr, weight_decay,
                                   agreement)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RunState, step, steps_per_epoch, sums)

std::string RunState::to_json() const {
  nlohmann::json json = *this;
  json["global_batch"] = global_batch;
  return json.dump();
}

RunState RunState::from_json(const std::string& text) {
  try {
    const auto json = nlohmann::json::parse(text);
    auto state = json.get<RunState>();
    state.global_batch = json.value("global_batch", int64_t{0});
    return state;
  } catch (const nlohmann::json::exception& problem) {
    throw CheckpointError(concat("checkpoint: run state is unreadable: ", problem.what()));
  }
}

}  // namespace ibot::train
