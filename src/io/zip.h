// The entries of a zip archive, as stored.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace ibot::io {

struct ZipEntry {
  std::string_view bytes;  // as stored
  uint32_t crc32 = 0;      // of the uncompressed bytes
  bool compressed = false;
};

/// The entries of an archive in memory, by name; zip64 is supported. Nothing is copied.
///
/// Throws CheckpointError, its text beginning with `where`, if the archive is damaged or split, or
/// if entries are encrypted, have equal names or overlap. Source: PKWARE's APPNOTE 6.3.
std::map<std::string, ZipEntry> read_zip(std::string_view archive, const std::string& where);

/// The checksum stored with each entry (CRC-32, as zlib's).
uint32_t crc32(std::string_view bytes);

}  // namespace ibot::io
