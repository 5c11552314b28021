// Open shards.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace ibot::data {

/// Reads parts of many files, of which it keeps the last 640 open: an epoch goes through 512 places
/// at a time, and opening a file anew for every image is what shards are to spare. Fewer where the
/// process may have no more. Safe to use from several threads.
class ShardFiles {
 public:
  explicit ShardFiles(std::vector<std::string> paths);
  ~ShardFiles();

  const std::string& path(int64_t shard) const { return paths_[shard]; }
  /// Throws DataError, beginning with `name`, when the file cannot be opened or is too short; Error
  /// when the process has no descriptor left.
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
