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

/// Replaces `path` atomically: `write` fills a file beside it, which is then synced and renamed,
/// and the folder is synced. When `write` throws or the disk is full, the old file stays and
/// nothing is left behind. Throws Error with the path and the system's reason.
void write_file(const std::filesystem::path& path,
                const std::function<void(const ByteSink& sink)>& write);

/// The same for content at hand.
void write_file(const std::filesystem::path& path, std::string_view content);

/// Makes `name` another name of the file `existing`, atomically, or a copy of it where the file
/// system has no links; a file of that name is replaced. Throws Error as write_file does.
void link_file(const std::filesystem::path& existing, const std::filesystem::path& name);

/// Whether two files are the same, by size and ibot::Hash.
struct FileDigest {
  uint64_t size = 0;
  std::string xxh3;
  bool operator==(const FileDigest&) const = default;
};

/// Of a file's content. Throws Error with the path and the system's reason.
FileDigest digest_of(const std::filesystem::path& path);

/// The whole file. Throws Error with the path and the system's reason.
std::string read_file(const std::filesystem::path& path);

/// A file's bytes in memory as they are on disk, read when they are looked at. Throws Error with
/// the path and the system's reason. The file must not be shortened meanwhile; write_file never
/// does.
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
