#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>

#include "common/run_main.h"
#include "ibot-doctor/checks.h"
#include "ibot/base/error.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int64_t kFileBytes = 64 << 20;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// An open file; closed and removed at the end.
class ScratchFile {
 public:
  explicit ScratchFile(fs::path path)
      : path_(std::move(path)), file_(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    IBOT_CHECK_AS(RequestError, file_ >= 0, path_.string(),
                  ": cannot be opened: ", std::strerror(errno), "; choose another --output");
  }
  ~ScratchFile() {
    ::close(file_);
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  int get() const { return file_; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  int file_;
};

/// A name of its own for each process, of other nodes too.
fs::path scratch_name(const fs::path& folder, int64_t rank) {
  return folder / concat(".ibot-doctor-", rank, '-', ::getpid());
}

/// 0 or errno.
template <class Transfer>
int transfer_all(std::vector<char>& block, Transfer&& transfer) {
  const auto size = static_cast<int64_t>(block.size());
  for (int64_t done = 0; done < kFileBytes;) {
    const auto count =
        transfer(block.data(), static_cast<size_t>(std::min(size, kFileBytes - done)));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return count == 0 ? EIO : errno;
    done += count;
  }
  return 0;
}

Finding speed(const fs::path& folder, int64_t rank) {
  const ScratchFile file(scratch_name(folder, rank));
  std::vector<char> block(1 << 20, 'x');
  auto start = Clock::now();
  int problem =
      transfer_all(block, [&](char* data, size_t size) { return ::write(file.get(), data, size); });
  if (problem == 0 && ::fsync(file.get()) != 0) problem = errno;
  const double written_s = seconds_since(start);
  if (problem != 0) {
    return {"writing", Verdict::kFailed,
            concat(folder.string(), ": ", bytes_text(kFileBytes), ": ", std::strerror(problem)),
            "free space or quota, or choose another --output"};
  }
  ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
  ::lseek(file.get(), 0, SEEK_SET);
  start = Clock::now();
  problem =
      transfer_all(block, [&](char* data, size_t size) { return ::read(file.get(), data, size); });
  const double read_s = seconds_since(start);
  constexpr double kSlow = 20 << 20;  // bytes per second
  const double writing = kFileBytes / written_s, reading = kFileBytes / read_s;
  const bool slow = writing < kSlow;
  return {
      "writing",
      slow ? Verdict::kWarning : Verdict::kOk,
      concat(folder.string(), ": writes ", bytes_text(writing), "/s, reads ", bytes_text(reading),
             "/s"),
      slow ? "checkpoints are written in the background, but one of ViT-B/16 takes a minute: a "
             "local disk for --output, or a larger train.save_every_epochs"
           : "",
      {{"write_bytes_per_s", std::llround(writing)}, {"read_bytes_per_s", std::llround(reading)}}};
}

Finding free_space(const fs::path& folder) {
  constexpr double kLeast = 1.0 * (1 << 30), kEnough = 10.0 * (1 << 30);
  const auto bytes = static_cast<double>(fs::space(folder).available);
  return {"space",
          bytes < kLeast    ? Verdict::kFailed
          : bytes < kEnough ? Verdict::kWarning
                            : Verdict::kOk,
          concat(folder.string(), ": ", bytes_text(bytes), " free"),
          bytes < kEnough ? "a checkpoint of ViT-S/16 takes 0.5 GiB, of ViT-B/16 1.5 GiB; "
                            "train.keep_last says how many are kept"
                          : "",
          {{"free_bytes", std::llround(bytes)}}};
}

/// Two open files stand for two runs: the lock of the first must exclude the second.
Finding locks(const fs::path& folder, int64_t rank) {
  const ScratchFile first(scratch_name(folder, rank));
  if (::flock(first.get(), LOCK_EX | LOCK_NB) != 0) {
    return {"locks", Verdict::kWarning,
            concat(folder.string(), ": no locks: ", std::strerror(errno)),
            "nothing prevents two runs from writing to one --output here: give each its own"};
  }
  const int second = ::open(first.path().c_str(), O_RDWR | O_CLOEXEC);
  const bool excluded = ::flock(second, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(second);
  return {"locks", excluded ? Verdict::kOk : Verdict::kFailed,
          concat(folder.string(), excluded ? ": exclusive" : ": a second lock was granted"),
          excluded ? ""
                   : "mount the file system with locks (Lustre: -o flock), or give each run "
                     "its own --output"};
}

}  // namespace

std::vector<Finding> check_folder_use(const fs::path& folder, int64_t rank) {
  return {free_space(folder), speed(folder, rank), locks(folder, rank)};
}

}  // namespace ibot::apps
