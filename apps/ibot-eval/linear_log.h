// The log of a linear probe.
#pragma once

#include <filesystem>
#include <optional>

#include "ibot/eval/linear_probe.h"
#include "ibot/train/run_log.h"

namespace ibot::apps {

/// OUT/log.txt, one JSON object for every epoch in which the best accuracy is reached or exceeded,
/// under the official names: `train_lr{h}`, `train_loss{h}`, `epoch`, `test_loss{h}`,
/// `test_acc{h}@1`, `test_acc{h}@5` for classifier h of several; `train_lr`, `train_loss`, `epoch`,
/// `test_loss`, `test_acc1`, `test_acc5` for a single one.
class LinearLog {
 public:
  /// Lines of `first_epoch` and later are dropped: they are written again. Without an output
  /// nothing is kept.
  LinearLog(const std::filesystem::path& output, int64_t first_epoch);
  void append(const eval::LinearEpoch& epoch);

 private:
  std::optional<train::JsonLines> lines_;
};

}  // namespace ibot::apps
