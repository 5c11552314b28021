// A cache of open shards.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace ibot::data {

/// Reads parts of many files and keeps the last 640 open: stream_order() reads from 512 places in
/// turn, and opening a file for every image is what shards are meant to avoid. Fewer if the process
/// reaches its limit of open files. Thread-safe.
class ShardFiles {
 public:
  explicit ShardFiles(std::vector<std::string> paths);
  ~ShardFiles();

  const std::string& path(int64_t shard) const { return paths_[shard]; }
  /// Throws DataError, with `name` first, if the file cannot be opened or is too short; Error if
  /// the process has no descriptor left.
  std::vector<uint8_t> read(int64_t shard, int64_t offset, int64_t size,
                            const std::string& name) const;

 private:
  class File;
  std::shared_ptr<const File> open(int64_t shard, const std::string& name) const;
  bool close_oldest(size_t count) const;

  std::vector<std::string> paths_;
  mutable std::mutex mutex_;
  mutable std::vector<std::shared_ptr<const File>> files_;
  mutable std::deque<int64_t> opened_;
};

}  // namespace ibot::data
