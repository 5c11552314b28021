// Exclusive use of a folder of results.
#pragma once

#include <filesystem>

namespace ibot::apps {

/// Locks the folder of a run for this process: two runs writing the same files would corrupt them.
/// The lock of a killed process is released by the system.
class FolderLock {
 public:
  /// Locks OUT/.lock. Throws RequestError naming the process and machine that hold it: immediately
  /// if that process is known to be running, otherwise after ten seconds in which it may exit. A
  /// file system without locks is logged and not refused.
  explicit FolderLock(const std::filesystem::path& output);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int file_ = -1;
};

}  // namespace ibot::apps
