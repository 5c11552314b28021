// What a fine-tuning run writes, shows and goes on from.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "common/identity.h"
#include "common/progress.h"
#include "ibot-eval/task.h"
#include "ibot/train/checkpoint.h"
#include "ibot/train/observer.h"

namespace ibot::apps {

/// Shows progress, a line an epoch and faults.
class FineTuneConsole : public train::Observer {
 public:
  FineTuneConsole(const std::string& task, const train::RunState& state, int64_t epochs);
  ~FineTuneConsole() override;
  void on_step(const train::StepRecord& record) override;
  void on_epoch(const train::EpochRecord& record) override;
  void on_evaluation(const train::EvaluationRecord& record) override;
  void on_epoch_end() override;
  void on_fault(const train::FaultRecord& record) override;

 private:
  int64_t epochs_;
  Progress progress_;
  std::string line_;
};

/// OUT/checkpoints, which rank 0 creates; empty without an output. Throws RequestError where that
/// cannot be.
std::filesystem::path checkpoint_folder(const TaskRequest& request);

/// The newest checkpoint of the folder that is whole. Throws RequestError, naming all that differs,
/// when it belongs to another identity.
std::optional<train::Checkpoint> find_checkpoint(const std::filesystem::path& folder,
                                                 const Identity& identity);

}  // namespace ibot::apps
