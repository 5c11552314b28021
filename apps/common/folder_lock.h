// One program at a time in a folder of results.
#pragma once

#include <filesystem>

namespace ibot::apps {

/// Holds the folder of a run for this process while it lives: its writing into files that another
/// run writes would spoil both. A run that was killed holds nothing.
class FolderLock {
 public:
  /// Locks OUT/.lock. Throws RequestError naming the process and its machine that hold it: at once
  /// if that process is known to run, else after ten seconds in which it may end. A file system
  /// without locks is told of in the log and not a reason to refuse.
  explicit FolderLock(const std::filesystem::path& output);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int file_ = -1;
};

}  // namespace ibot::apps
