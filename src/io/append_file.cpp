#include "ibot/io/append_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "ibot/base/error.h"

namespace ibot::io {
namespace {

constexpr size_t kMostWaiting = 4 << 20;

}  // namespace

AppendFile::AppendFile(std::filesystem::path path)
    : path_(std::move(path)),
      file_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  IBOT_CHECK(file_ >= 0, "cannot write ", path_.string(), ": ", std::strerror(errno));
}

AppendFile::~AppendFile() {
  try {
    flush();
  } catch (const Error&) {
    // append() has already thrown for it; callers that also report the loss flush() first.
  }
  ::close(file_);
}

void AppendFile::append(std::string_view record) {
  if (waiting_.size() < kMostWaiting) waiting_ += record;
  flush();
}

void AppendFile::flush() {
  while (!waiting_.empty()) {
    const ssize_t written = ::write(file_, waiting_.data(), waiting_.size());
    if (written < 0 && errno == EINTR) continue;
    IBOT_CHECK(written >= 0, "cannot write ", path_.string(), ": ", std::strerror(errno));
    // A partial write keeps the rest of the record at the front, so no record is ever torn.
    waiting_.erase(0, static_cast<size_t>(written));
  }
}

}  // namespace ibot::io
