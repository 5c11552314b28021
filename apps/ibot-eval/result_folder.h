// Where the results of a task go.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <optional>

#include "common/folder_lock.h"
#include "ibot/eval/report.h"

namespace ibot::apps {

/// The folder of the results, made where it is missing and kept from other programs. A refusal
/// leaves none that it made.
class ResultFolder {
 public:
  /// Throws RequestError where the folder cannot be made or another program has it.
  explicit ResultFolder(std::filesystem::path folder);
  ~ResultFolder();
  ResultFolder(const ResultFolder&) = delete;
  ResultFolder& operator=(const ResultFolder&) = delete;

  /// Writes report.json and report.html, with curves where the task trained. In the folder of a
  /// pre-training the page is that of the run, as ibot-train writes it, with this report added; its
  /// networks run on `device`. A report.json of another task, or of other weights or
  /// images, is kept as report-TASK-HASH.json.
  void write(const eval::Report& report, torch::Device device) const;

 private:
  void keep_other(const eval::Report& report) const;
  void renew_page_of_run(const eval::Report& report, torch::Device device) const;

  std::filesystem::path folder_;
  bool made_ = false;
  std::optional<FolderLock> lock_;
};

/// Date and version of a report that is made now.
void stamp(eval::Report& report);

}  // namespace ibot::apps
