#include "ibot/io/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ibot/base/error.h"
#include "ibot/base/hash.h"

namespace ibot::io {

namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const char* verb, int reason) {
  throw Error(concat("cannot ", verb, " ", path.string(), ": ", std::strerror(reason)));
}

/// A file descriptor, closed on destruction; mode bits are left to the umask.
class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags)
      : value_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  bool valid() const { return value_ >= 0; }
  int get() const { return value_; }

 private:
  int value_;
};

/// A file that is removed unless keep() is called.
class Temporary {
 public:
  explicit Temporary(std::filesystem::path path) : path_(std::move(path)) {}
  ~Temporary() {
    if (!kept_) ::unlink(path_.c_str());
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void keep() { kept_ = true; }

 private:
  std::filesystem::path path_;
  bool kept_ = false;
};

void write_all(int file, const char* data, size_t size, const std::filesystem::path& path) {
  while (size > 0) {
    const ssize_t written = ::write(file, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path, "write", errno);
    data += written;
    size -= static_cast<size_t>(written);
  }
}

void sync_folder_of(const std::filesystem::path& path) {
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const Descriptor handle(folder, O_RDONLY | O_DIRECTORY);
  if (!handle.valid()) fail(folder, "open", errno);
  // Some network file systems report that they cannot sync a folder; the rename is all they offer.
  if (::fsync(handle.get()) != 0 && errno != EINVAL && errno != ENOTSUP)
    fail(folder, "sync", errno);
}

}  // namespace

void write_file(const std::filesystem::path& path,
                const std::function<void(const ByteSink& sink)>& write) {
  // A fixed name, so the leftover of a killed run is overwritten by the next one.
  Temporary temporary(path.string() + ".tmp");
  {
    const Descriptor file(temporary.path(), O_WRONLY | O_CREAT | O_TRUNC);
    if (!file.valid()) fail(path, "write", errno);
    write([&](const void* data, size_t size) {
      write_all(file.get(), static_cast<const char*>(data), size, path);
    });
    // Before the rename: otherwise a crash may leave the new name with empty content.
    if (::fsync(file.get()) != 0) fail(path, "write", errno);
  }
  if (::rename(temporary.path().c_str(), path.c_str()) != 0) fail(path, "write", errno);
  temporary.keep();
  sync_folder_of(path);
}

void write_file(const std::filesystem::path& path, std::string_view content) {
  write_file(path, [&](const ByteSink& sink) { sink(content.data(), content.size()); });
}

void link_file(const std::filesystem::path& existing, const std::filesystem::path& name) {
  // By POSIX, rename between two links to the same file does nothing and would leave the temporary.
  std::error_code absent;
  if (std::filesystem::equivalent(existing, name, absent)) return;
  Temporary temporary(name.string() + ".tmp");
  ::unlink(temporary.path().c_str());
  if (::link(existing.c_str(), temporary.path().c_str()) != 0) {
    // The file system has no hard links, or the file too many: a copy takes their place.
    if (errno != EPERM && errno != ENOTSUP && errno != ENOSYS && errno != EMLINK) {
      fail(name, "write", errno);
    }
    return write_file(name, read_file(existing));
  }
  if (::rename(temporary.path().c_str(), name.c_str()) != 0) fail(name, "write", errno);
  temporary.keep();
  sync_folder_of(name);
}

FileDigest digest_of(const std::filesystem::path& path) {
  const Descriptor file(path, O_RDONLY);
  if (!file.valid()) fail(path, "read", errno);
  std::vector<char> piece(1 << 20);
  FileDigest digest;
  Hash hash;
  for (;;) {
    const ssize_t got = ::read(file.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path, "read", errno);
    if (got == 0) break;
    hash.add(piece.data(), static_cast<size_t>(got));
    digest.size += static_cast<uint64_t>(got);
  }
  digest.xxh3 = hash.hex();
  return digest;
}

std::string read_file(const std::filesystem::path& path) {
  const Descriptor file(path, O_RDONLY);
  if (!file.valid()) fail(path, "read", errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail(path, "read", errno);
  std::string content(static_cast<size_t>(status.st_size), '\0');
  size_t size = 0;
  // Reads until end of file: files in /proc report size 0, and others may have grown.
  for (;;) {
    if (size == content.size()) content.resize(size + 4096);
    const ssize_t got = ::read(file.get(), content.data() + size, content.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path, "read", errno);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  content.resize(size);
  return content;
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const Descriptor file(path, O_RDONLY);
  struct stat status {};
  if (!file.valid() || ::fstat(file.get(), &status) != 0) fail(path, "read", errno);
  if (S_ISDIR(status.st_mode)) fail(path, "read", EISDIR);
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return;  // mmap refuses length 0
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) fail(path, "read", errno);
  bytes_ = {static_cast<const char*>(data), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

}  // namespace ibot::io
