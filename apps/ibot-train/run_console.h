// Console output of a run.
#pragma once

#include <optional>

#include "common/progress.h"
#include "ibot/train/observer.h"

namespace ibot::apps {

/// A progress line with rate, time left and loss; a log line per epoch and evaluation; a warning
/// for each fault.
class RunConsole : public train::Observer {
 public:
  /// Steps from `first` to `total`, each of `images` images.
  RunConsole(int64_t first, int64_t total, int64_t images, int64_t epochs, bool quiet);

  void on_step(const train::StepRecord& record) override;
  void on_epoch(const train::EpochRecord& record) override;
  void on_evaluation(const train::EvaluationRecord& record) override;
  void on_fault(const train::FaultRecord& record) override;
  void finish();

 private:
  int64_t epochs_;
  std::optional<Progress> progress_;
};

}  // namespace ibot::apps
