// Files that are whole or absent.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace ibot::io {

/// Writes one piece of a file.
using ByteSink = std::function<void(const void* data, size_t size)>;

/// Replaces `path` atomically: `write` fills a temporary file in the same folder, which is synced
/// and renamed; then the folder is synced. If `write` throws or the disk is full, the old file
/// stays and no temporary file remains. Throws Error with the path and the system's reason.
void write_file(const std::filesystem::path& path,
                const std::function<void(const ByteSink& sink)>& write);

/// The same for content in memory.
void write_file(const std::filesystem::path& path, std::string_view content);

/// Makes `name` a hard link to the file `existing`, atomically, or a copy where the file system has
/// no links; an existing file of that name is replaced. Throws Error as write_file does.
void link_file(const std::filesystem::path& existing, const std::filesystem::path& name);

/// Identity of a file's content: size and ibot::Hash.
struct FileDigest {
  uint64_t size = 0;
  std::string xxh3;
  bool operator==(const FileDigest&) const = default;
};

/// Digest of a file's content. Throws Error with the path and the system's reason.
FileDigest digest_of(const std::filesystem::path& path);

/// The whole file. Throws Error with the path and the system's reason.
std::string read_file(const std::filesystem::path& path);

/// A read-only memory map of a file: pages are read on first access. Throws Error with the path and
/// the system's reason. The file must not be truncated meanwhile (SIGBUS); write_file never does.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return bytes_; }

 private:
  std::string_view bytes_;
};

}  // namespace ibot::io
