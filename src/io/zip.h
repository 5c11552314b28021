// The entries of a zip archive as they lie in it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace ibot::io {

struct ZipEntry {
  std::string_view bytes;  // as stored
  uint32_t crc32 = 0;      // of what they unfold to
  bool compressed = false;
};

/// The entries of an archive in memory by name, zip64 included. Nothing is copied.
///
/// Throws CheckpointError, its text beginning with `where`: on an archive that is damaged or in
/// parts, on entries that are encrypted, of one name, or share bytes with each other.
/// Source: PKWARE's APPNOTE 6.3.
std::map<std::string, ZipEntry> read_zip(std::string_view archive, const std::string& where);

/// The checksum that entries carry.
uint32_t crc32(std::string_view bytes);

}  // namespace ibot::io
