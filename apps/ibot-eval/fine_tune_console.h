// What a fine-tuning run shows.
#pragma once

#include <string>

#include "common/progress.h"
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

}  // namespace ibot::apps
