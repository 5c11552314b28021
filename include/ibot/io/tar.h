// Tar archives of regular files: a plain writer, and a reader that tolerates damage.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "ibot/io/file.h"

namespace ibot::io {

/// Writes ustar; a name longer than 100 bytes goes into a pax header before the file. Owner, mode
/// and time are the same for every file, so equal content gives equal bytes.
///
/// Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block".
class TarWriter {
 public:
  /// The sink must outlive the writer.
  explicit TarWriter(const ByteSink& sink) : sink_(sink) {}

  /// Appends a file of less than 8 GiB; returns the offset of its content within the archive.
  uint64_t add(std::string_view name, std::string_view content);
  /// The two empty blocks that end an archive.
  void finish();
  /// Bytes written so far.
  uint64_t size() const { return size_; }

 private:
  void write_header(std::string_view name, uint64_t content_size, char type);
  void write_padded(std::string_view content);

  const ByteSink& sink_;
  uint64_t size_ = 0;
};

/// A regular file of an archive, or a damaged stretch of it.
struct TarEntry {
  std::string name;
  /// Offsets of its first header and of its content, in bytes.
  uint64_t begin = 0;
  uint64_t offset = 0;
  uint64_t size = 0;
  /// Empty, or why this is not a whole file; `name` is then empty if the header is damaged.
  std::string damage;
};

/// Reads the headers of an archive in sequence: ustar, pax and GNU long names, sizes in octal or
/// base 256. Links, folders, devices and sparse files are skipped.
///
/// Every header's checksum is verified, and every size is compared with the archive's before memory
/// is allocated. Damage is an entry of its own: reading resumes at the next block that is a valid
/// header. An archive without the empty block at its end is truncated, which is an entry too.
class TarReader {
 public:
  /// Throws DataError with the path and the system's reason.
  explicit TarReader(const std::filesystem::path& path);
  ~TarReader();
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  /// The next entry; nullopt at the end. Throws DataError if the disk cannot be read.
  std::optional<TarEntry> next();
  /// The content of an undamaged entry. Thread-safe.
  std::string content(const TarEntry& entry) const;
  /// Links, devices and sparse files skipped so far; folders are not counted.
  int64_t skipped() const { return skipped_; }

 private:
  struct Header;
  Header header_at(uint64_t position) const;
  void extend(const Header& header, TarEntry& entry, std::optional<uint64_t>& size) const;
  TarEntry damaged(uint64_t begin, uint64_t position, const std::string& reason);
  std::string read(uint64_t position, uint64_t size) const;

  std::string path_;
  int file_ = -1;
  uint64_t size_ = 0;
  uint64_t position_ = 0;
  bool ended_ = false;
  int64_t skipped_ = 0;
};

}  // namespace ibot::io
