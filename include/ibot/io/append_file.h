// Files that grow by whole records and outlive a full disk.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace ibot::io {

/// A file that is written at its end. What the disk does not take waits in memory, in order, and
/// goes out with the next record: once there is room again nothing is missing. Of records that
/// wait, some megabytes are kept; further ones are lost, whole. Those that wait at the end are
/// tried once more.
class AppendFile {
 public:
  /// Creates the file where there is none. Throws Error with the path and the system's reason.
  explicit AppendFile(std::filesystem::path path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  /// The record is in the file when the call returns. Throws Error when it has to wait.
  void append(std::string_view record);
  /// Tries again what waits. Throws as append does.
  void flush();

 private:
  std::filesystem::path path_;
  int file_ = -1;
  std::string waiting_;
};

}  // namespace ibot::io
