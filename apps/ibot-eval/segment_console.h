// What a run of segmentation shows.
#pragma once

#include "common/progress.h"
#include "ibot/train/observer.h"

namespace ibot::apps {

/// Shows progress, tests and faults.
class SegmentConsole : public train::Observer {
 public:
  SegmentConsole(const train::RunState& state, int64_t updates);
  ~SegmentConsole() override;
  void on_step(const train::StepRecord& record) override;
  void on_evaluation(const train::EvaluationRecord& record) override;
  void on_fault(const train::FaultRecord& record) override;

 private:
  Progress progress_;
};

}  // namespace ibot::apps
