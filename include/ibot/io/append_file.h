// Files that grow by whole records and survive a full disk.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace ibot::io {

/// An append-only file. Records that the disk rejects are queued in memory, in order, and written
/// before the next record, so nothing is missing once there is room again. At most 4 MiB are
/// queued; further records are dropped, each as a whole. The destructor tries the queue once more.
class AppendFile {
 public:
  /// Creates the file if it does not exist. Throws Error with the path and the system's reason.
  explicit AppendFile(std::filesystem::path path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  /// The record is in the file when the call returns. Throws Error if it was queued.
  void append(std::string_view record);
  /// Retries the queue. Throws as append() does.
  void flush();

 private:
  std::filesystem::path path_;
  int file_ = -1;
  std::string waiting_;
};

}  // namespace ibot::io
