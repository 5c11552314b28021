// Log files of a run: log.txt, metrics.jsonl and TensorBoard events.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ibot/io/append_file.h"
#include "ibot/io/tfevents.h"
#include "ibot/train/observer.h"

namespace ibot::train {

/// A file of one JSON object per line. Opening it for a resumed run drops the lines that the run
/// will write again, those whose `key` is `limit` or more, and a torn last line.
class JsonLines {
 public:
  JsonLines(const std::filesystem::path& path, const std::string& key, int64_t limit);
  /// Appends one line, which is in the file when the call returns. Throws Error if the disk is full
  /// and the line was queued, see io::AppendFile.
  void append(const std::string& object);
  /// As io::AppendFile::flush.
  void flush() { file_->flush(); }

 private:
  std::optional<io::AppendFile> file_;
};

/// Keys of log.txt that differ between the official programs.
struct LogKeys {
  std::string weight_decay = "wd";
  std::vector<std::pair<std::string, int64_t>> constants = {};  // in every line
  /// Values of an epoch, by their name in its record, that this run does not define: log.txt has
  /// them as the official one does, TensorBoard does not.
  std::set<std::string> undefined = {};
};

/// Writes OUT/log.txt with the official keys, one line per epoch after its evaluations,
/// OUT/metrics.jsonl and OUT/tensorboard, where values of steps are "step/NAME", those of epochs
/// "epoch/NAME", and steps are the axis of both. log.txt and metrics.jsonl count epochs from 0, as
/// the official files do. A full disk does not end the run: lines are queued until
/// there is room.
class RunLog : public Observer {
 public:
  /// `step` finished steps are already in the files. `warn` is called when lines begin to be
  /// queued, and at the end if some could not be written. Without `keys` there is no log.txt.
  RunLog(const std::filesystem::path& output, int64_t step, int64_t steps_per_epoch,
         std::function<void(const std::string&)> warn = {},
         std::optional<LogKeys> keys = LogKeys());
  ~RunLog() override;

  void on_step(const StepRecord& record) override;
  void on_epoch(const EpochRecord& record) override;
  void on_evaluation(const EvaluationRecord& record) override;
  void on_epoch_end() override;
  void on_fault(const FaultRecord& record) override;

 private:
  /// The line of log.txt under construction.
  struct EpochLine {
    TermValues entries;
    int64_t epoch = 0;
  };

  void attempt(const std::function<void()>& write);
  void add_scalar(const std::string& tag, int64_t step, double value);

  std::function<void(const std::string&)> warn_;
  bool waiting_ = false;
  std::optional<LogKeys> keys_;
  EpochLine epoch_;
  std::optional<JsonLines> log_;
  JsonLines metrics_;
  io::EventWriter events_;
};

}  // namespace ibot::train
