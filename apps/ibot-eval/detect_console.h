// What a run of detection shows.
#pragma once

#include "common/progress.h"
#include "ibot/train/observer.h"

namespace ibot::apps {

/// Shows progress, a line an epoch, and faults.
class DetectConsole : public train::Observer {
 public:
  DetectConsole(const train::RunState& state, int64_t epochs);
  ~DetectConsole() override;
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
