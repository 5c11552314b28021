// The folder of a fine-tuning run.
#pragma once

#include <filesystem>
#include <string>

#include "common/identity.h"
#include "ibot/eval/fine_tuner.h"
#include "ibot/train/run_log.h"

namespace ibot::apps {

/// OUT/log.txt, one JSON object an epoch under the official names.
class FineTuneLog {
 public:
  /// Lines of `first_epoch` and later are dropped: they are written again.
  FineTuneLog(const std::filesystem::path& output, int64_t first_epoch, int64_t parameters);
  void append(const eval::FineTuneEpoch& epoch);

 private:
  train::JsonLines lines_;
  int64_t parameters_;
};

/// Creates OUT/checkpoints. Throws RequestError where that cannot be.
std::filesystem::path prepare_checkpoints(const std::filesystem::path& output);

/// Makes `tuner` go on where its last checkpoint stands, if there is one. Throws RequestError,
/// naming all that differs, when it belongs to another identity.
void resume_run(eval::FineTuner& tuner, const Identity& identity);

}  // namespace ibot::apps
