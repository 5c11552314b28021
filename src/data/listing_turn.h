// Serializes the listing of a data set among the processes of a machine.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace ibot::data {

/// While one process lists a folder, or scans the shards in it, others wait and then use its
/// result. Network file systems without flock: each process lists for itself.
class ListingTurn {
 public:
  explicit ListingTurn(const std::filesystem::path& root)
      : folder_(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (folder_ < 0 || ::flock(folder_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
    // Shared, so that processes that then find no cached listing make theirs in parallel.
    while (::flock(folder_, LOCK_SH) != 0 && errno == EINTR) continue;
  }
  ~ListingTurn() {
    if (folder_ >= 0) ::close(folder_);
  }
  ListingTurn(const ListingTurn&) = delete;
  ListingTurn& operator=(const ListingTurn&) = delete;

 private:
  int folder_;
};

}  // namespace ibot::data
