#include "common/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <thread>

#include "common/logging.h"
#include "common/run_main.h"
#include "ibot/io/file.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

/// "process 4711 on node17", as written by the holder of a lock.
std::string holder_in(const fs::path& lock) {
  const auto text = io::read_file(lock);
  return text.empty() ? "another process" : text.substr(0, text.find('\n'));
}

std::string name_of(pid_t process) {
  std::array<char, 256> host{};
  const bool known = ::gethostname(host.data(), host.size() - 1) == 0;
  return concat("process ", process, " on ", known ? host.data() : "an unknown machine");
}

/// Whether the holder of a lock is known to be running. An exiting process has no command line.
bool runs(const std::string& holder) {
  pid_t process = 0;
  if (std::sscanf(holder.c_str(), "process %d", &process) != 1) return false;
  if (holder != name_of(process)) return false;
  return std::ifstream(concat("/proc/", process, "/cmdline")).peek() != EOF;
}

/// Takes an exclusive lock; returns 0 or errno. A killed process may take seconds to release its
/// GPU and holds its lock until then, so holders that are not known to be running are waited for.
int lock_alone(int file, const fs::path& path) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::seconds kPatience{10};
  constexpr std::chrono::milliseconds kPause{100};
  const auto deadline = Clock::now() + kPatience;
  for (bool told = false; ::flock(file, LOCK_EX | LOCK_NB) != 0; told = true) {
    const int problem = errno;
    const auto holder = holder_in(path);
    if (problem != EWOULDBLOCK || runs(holder) || Clock::now() > deadline) return problem;
    if (!told) log_info(concat(path.string(), ": waiting for ", holder, " to end"));
    std::this_thread::sleep_for(kPause);
  }
  return 0;
}

}  // namespace

FolderLock::FolderLock(const fs::path& output) {
  const auto path = output / ".lock";
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  IBOT_CHECK_AS(RequestError, file_ >= 0, path.string(),
                ": cannot be opened: ", std::strerror(errno), "; choose another --output");
  const int problem = lock_alone(file_, path);
  if (problem == EWOULDBLOCK) {
    ::close(file_);
    throw RequestError(concat(output.string(), ": expected no other run in this folder, found ",
                              holder_in(path), "; wait for its end or choose another --output"));
  }
  if (problem != 0) {
    log_warning(concat(path.string(), ": cannot be locked: ", std::strerror(problem),
                       "; make sure that no second run writes to this folder"));
    return;
  }
  const auto holder = name_of(::getpid()) + '\n';
  // The content only serves the message above: a full disk must not prevent a run from starting.
  if (::ftruncate(file_, 0) != 0 || ::write(file_, holder.data(), holder.size()) < 0) {
    log_debug(concat(path.string(), ": cannot be written: ", std::strerror(errno)));
  }
}

FolderLock::~FolderLock() { ::close(file_); }

}  // namespace ibot::apps
