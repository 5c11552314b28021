#include "shards/shard_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "data/opening.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

constexpr size_t kMaxOpen = 640;

}  // namespace

class ShardFiles::File {
 public:
  explicit File(const std::string& path)
      : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), error_(file_ < 0 ? errno : 0) {}
  ~File() {
    if (file_ >= 0) ::close(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int get() const { return file_; }
  /// errno of a failed open; 0 if it is open.
  int error() const { return error_; }

 private:
  int file_;
  int error_;
};

ShardFiles::ShardFiles(std::vector<std::string> paths)
    : paths_(std::move(paths)), files_(paths_.size()) {}

ShardFiles::~ShardFiles() = default;

std::shared_ptr<const ShardFiles::File> ShardFiles::open(int64_t shard,
                                                         const std::string& name) const {
  std::unique_lock lock(mutex_);
  if (files_[shard]) return files_[shard];
  lock.unlock();  // opening may take long on a shared file system
  auto opened = std::make_shared<const File>(paths_[shard]);
  while (is_exhaustion(opened->error()) && close_oldest(1)) {
    opened = std::make_shared<const File>(paths_[shard]);
  }
  check_opened(opened->error(), name);
  // Another thread may have opened the same shard meanwhile; its descriptor is used.
  lock.lock();
  if (files_[shard]) return files_[shard];
  files_[shard] = opened;
  opened_.push_back(shard);
  lock.unlock();
  close_oldest(kMaxOpen + 1);
  return opened;
}

/// Closes the file that was opened first if at least `count` are open.
bool ShardFiles::close_oldest(size_t count) const {
  const std::lock_guard lock(mutex_);
  if (opened_.size() < count) return false;
  // Readers still using it hold a reference; the last one closes it.
  files_[opened_.front()].reset();
  opened_.pop_front();
  return true;
}

std::vector<uint8_t> ShardFiles::read(int64_t shard, int64_t offset, int64_t size,
                                      const std::string& name) const {
  const auto file = open(shard, name);
  std::vector<uint8_t> bytes(static_cast<size_t>(size));
  int64_t done = 0;
  while (done < size) {
    const ssize_t got = ::pread(file->get(), bytes.data() + done, bytes.size() - done,
                                static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    IBOT_CHECK_AS(DataError, got >= 0, name, ": cannot read: ", std::strerror(errno));
    IBOT_CHECK_AS(DataError, got > 0, name, ": truncated shard: read ", done, " of ", size,
                  " bytes");
    done += got;
  }
  return bytes;
}

}  // namespace ibot::data
