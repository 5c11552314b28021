// One process of a machine looks through a data set while others wait for what it finds.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace ibot::data {

/// While one process lists a folder, or searches the shards in it, others wait for it. Some network
/// file systems have no such lock: there each does it for itself.
class ListingTurn {
 public:
  explicit ListingTurn(const std::filesystem::path& root)
      : folder_(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (folder_ < 0 || ::flock(folder_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
    // Shared, so that those who find no listing afterwards need not make one in turn.
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
