#include "ibot/train/run_state.h"

#include <nlohmann/json.hpp>

#include "ibot/base/error.h"

namespace ibot::train {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(EpochSums, steps, loss, loss_cls, loss_patch, lr, weight_decay,
                                   agreement)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RunState, step, steps_per_epoch, sums)

std::string RunState::to_json() const { return nlohmann::json(*this).dump(); }

RunState RunState::from_json(const std::string& text) {
  try {
    return nlohmann::json::parse(text).get<RunState>();
  } catch (const nlohmann::json::exception& problem) {
    throw CheckpointError(concat("checkpoint: run state is unreadable: ", problem.what()));
  }
}

}  // namespace ibot::train
