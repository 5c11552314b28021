// Console output of a run.
#pragma once

#include <optional>
#include <string>

#include "common/progress.h"
#include "ibot/train/observer.h"

namespace ibot::apps {

/// What the console needs to know of a run: steps from `first` to `total`, each of `images` images.
struct ConsoleOptions {
  int64_t first = 0;
  int64_t total = 0;
  int64_t images = 0;
  int64_t steps_per_epoch = 1;
  int64_t epochs = 0;
  bool labeled = false;  // images have classes
};

/// A progress line with epoch, loss, rate and time left; a log line per epoch and evaluation; a
/// warning for each fault. Epochs are counted from 1.
///
/// The line of an epoch shows the effective rank of the teacher's features and the entropy of its
/// targets in nats, at the epoch's last record, and how well prototypes agree with classes (nmi) if
/// there are any: folders of own photographs need not be classes.
class RunConsole : public train::Observer {
 public:
  explicit RunConsole(const ConsoleOptions& options);

  /// To be called after every step; `step` counts finished ones.
  void on_progress(int64_t step);
  void on_step(const train::StepRecord& record) override;
  void on_epoch(const train::EpochRecord& record) override;
  void on_evaluation(const train::EvaluationRecord& record) override;
  void on_checkpoint(const std::filesystem::path& file) override;
  void on_fault(const train::FaultRecord& record) override;
  void finish();

 private:
  std::string epoch_of(int64_t epoch) const;

  ConsoleOptions options_;
  Progress progress_;
  std::optional<train::HealthRecord> health_;
  std::string loss_;   // of the last record
  std::string speed_;  // likewise
};

}  // namespace ibot::apps
