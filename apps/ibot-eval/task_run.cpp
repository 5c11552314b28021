#include "ibot-eval/task_run.h"

#include "common/early_end.h"
#include "common/logging.h"
#include "common/output_folder.h"
#include "common/resume.h"
#include "common/run_main.h"
#include "common/signals.h"

namespace ibot::apps {
namespace fs = std::filesystem;

fs::path checkpoint_folder(const TaskRequest& request) {
  if (request.output.empty()) return {};
  const auto folder = request.output / "checkpoints";
  if (request.group.rank() == 0) prepare_folder(folder);
  request.group.barrier();
  return folder;
}

std::optional<train::Checkpoint> find_checkpoint(
    const fs::path& folder, const Identity& identity,
    const std::function<std::optional<train::Checkpoint>()>& former) {
  if (folder.empty()) return std::nullopt;
  return open_input([&] {
    auto checkpoint = former();
    if (!checkpoint) checkpoint = newest_checkpoint(folder);
    if (!checkpoint) return checkpoint;
    const bool of_folder = checkpoint->source.parent_path() == folder;
    check_identity(identity, checkpoint->identity, of_folder ? folder : checkpoint->source);
    return checkpoint;
  });
}

void resume(train::Loop& loop, const std::optional<train::Checkpoint>& checkpoint) {
  if (!checkpoint) return;
  open_input([&] { loop.resume(*checkpoint); });
  log_info(concat("resumed at step ", loop.state().step));
}

train::RunHome run_home(const TaskRequest& request, const fs::path& checkpoints,
                        const Identity& identity, int64_t images) {
  return {.checkpoints = checkpoints,
          .replay = request.output.empty() ? fs::path() : request.output / "replay",
          .config = config::write_config(request.weights.config, config::Comments::kNone),
          .identity = identity.text(),
          .images = images};
}

std::string where_it_runs(const TaskRequest& request) {
  const auto ranks = request.group.size();
  return concat(" on ", ranks == 1 ? "" : std::to_string(ranks) + " ranks, this one on ",
                request.device);
}

data::TrainingLoaderOptions stream_of(data::TrainingLoaderOptions loading,
                                      const train::RunState& state) {
  loading.first_epoch = state.step / state.steps_per_epoch;
  loading.first_step = state.step % state.steps_per_epoch * loading.batches_per_update;
  return loading;
}

void train_to_end(train::Loop& loop, const TaskRequest& request,
                  const std::function<train::Ending()>& run) {
  const auto& group = request.group;
  EarlyEnd early_end(group.size() == 1 ? 1 : loop.log_every_steps());
  catch_stop_signals(group.rank() == 0 && !request.output.empty());
  loop.set_stop([&] { return early_end.due(loop.longest_save_s()); });
  const bool stopped = run() == train::Ending::kStopped;
  // The reason that one rank may have had alone.
  const auto status = torch::tensor(stopped ? early_end.status() : 0);
  group.all_reduce_(status, dist::Reduction::kMax);
  if (!stopped) return;
  stop_with(status.item<int>());
  if (group.rank() > 0) return;
  const auto step = loop.state().step;
  log_info(request.output.empty()
               ? concat("stopped at step ", step, "; nothing was kept, as there is no --output")
               : concat("stopped at step ", step, "; checkpoint: ", loop.last_checkpoint().string(),
                        "; the same command goes on"));
}

}  // namespace ibot::apps
