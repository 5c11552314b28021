// What tasks that train have in common.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "common/identity.h"
#include "ibot-eval/task.h"
#include "ibot/base/error.h"
#include "ibot/loading/training_loader.h"
#include "ibot/train/loop.h"

namespace ibot::apps {

/// OUT/checkpoints, which rank 0 creates; empty without an output. Throws RequestError where that
/// cannot be.
std::filesystem::path checkpoint_folder(const TaskRequest& request);

/// The newest checkpoint of the folder that is whole; without one what `former`, of a version that
/// kept its state elsewhere, finds. Throws RequestError, naming all that differs, when it belongs
/// to another identity.
std::optional<train::Checkpoint> find_checkpoint(
    const std::filesystem::path& folder, const Identity& identity,
    const std::function<std::optional<train::Checkpoint>()>& former);

/// Goes on from the checkpoint, if there is one, and says so.
void resume(train::Loop& loop, const std::optional<train::Checkpoint>& checkpoint);

/// The run's files below OUT; `checkpoints` as checkpoint_folder gives it.
train::RunHome run_home(const TaskRequest& request, const std::filesystem::path& checkpoints,
                        const Identity& identity, int64_t images);

/// " on 4 ranks, this one on cuda:0".
std::string where_it_runs(const TaskRequest& request);

/// Calls `make`; an option that does not fit the network becomes a ConfigError with its section.
template <class Make>
auto with_section(const std::string& section, const Make& make) {
  try {
    return make();
  } catch (const OptionError& error) {
    throw ConfigError(concat(section, ".", error.what()));
  }
}

/// The stream of this rank from the step on that comes next.
data::TrainingLoaderOptions stream_of(data::TrainingLoaderOptions loading,
                                      const train::RunState& state);

/// Calls `run`, which ends early on a signal or where the job's time is up; stop_requested tells so
/// on every rank.
void train_to_end(train::Loop& loop, const TaskRequest& request,
                  const std::function<train::Ending()>& run);

}  // namespace ibot::apps
