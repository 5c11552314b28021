#include "io/zip.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "ibot/base/error.h"

namespace ibot::io {
namespace {

constexpr uint32_t kLocalMagic = 0x04034b50;
constexpr uint32_t kCentralMagic = 0x02014b50;
constexpr uint32_t kEndMagic = 0x06054b50;
constexpr uint32_t kEnd64Magic = 0x06064b50;
constexpr uint32_t kLocator64Magic = 0x07064b50;
constexpr size_t kLocalSize = 30;
constexpr size_t kCentralSize = 46;
constexpr size_t kEndSize = 22;
constexpr size_t kEnd64Size = 56;
constexpr size_t kLocator64Size = 20;
constexpr size_t kMaxComment = 65535;
constexpr uint16_t kEncrypted = 1;
constexpr uint16_t kZip64Field = 1;
constexpr uint32_t kIn64 = 0xffffffff;  // the actual value is in the zip64 field

struct Directory {
  uint64_t entries;
  uint64_t size;
  uint64_t offset;
};

class Archive {
 public:
  Archive(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  std::map<std::string, ZipEntry> entries() {
    const auto directory = find_directory();
    check(directory.offset <= bytes_.size() && directory.size <= bytes_.size() - directory.offset,
          "expected the directory within the file's ", bytes_.size(), " bytes");
    std::map<std::string, ZipEntry> entries;
    uint64_t position = directory.offset;
    for (uint64_t i = 0; i < directory.entries; ++i) {
      check(position + kCentralSize <= directory.offset + directory.size,
            "the directory ends early");
      position = add_entry(position, directory.offset + directory.size, entries);
    }
    check_overlaps();
    return entries;
  }

 private:
  template <class... Parts>
  void check(bool ok, const Parts&... parts) const {
    if (!ok) throw CheckpointError(concat(where_, ": zip: ", parts...));
  }

  template <class T>
  T read(uint64_t position) const {
    check(position <= bytes_.size() && sizeof(T) <= bytes_.size() - position, "ends early");
    T value;
    std::memcpy(&value, bytes_.data() + position, sizeof(T));
    return value;
  }

  Directory find_directory() const {
    check(bytes_.size() >= kEndSize, "expected at least ", kEndSize, " bytes, got ", bytes_.size());
    const uint64_t last = bytes_.size() - kEndSize;
    const uint64_t first = last > kMaxComment ? last - kMaxComment : 0;
    uint64_t end = last;
    // The end record is followed by a comment of unknown length: search backward for a record whose
    // comment length leads exactly to the end of the file.
    while (read<uint32_t>(end) != kEndMagic ||
           read<uint16_t>(end + 20) != bytes_.size() - end - kEndSize) {
      check(end > first,
            "found no end of the directory; the file is damaged or cut off, copy or download it "
            "again");
      --end;
    }
    check(read<uint16_t>(end + 4) == 0 && read<uint16_t>(end + 6) == 0,
          "expected one file, got one part of several");
    const Directory directory{read<uint16_t>(end + 10), read<uint32_t>(end + 12),
                              read<uint32_t>(end + 16)};
    if (end < kLocator64Size || read<uint32_t>(end - kLocator64Size) != kLocator64Magic) {
      return directory;
    }
    const auto end64 = read<uint64_t>(end - kLocator64Size + 8);
    check(end64 <= end && kEnd64Size <= end - end64 && read<uint32_t>(end64) == kEnd64Magic,
          "found no zip64 end of the directory");
    return {read<uint64_t>(end64 + 32), read<uint64_t>(end64 + 40), read<uint64_t>(end64 + 48)};
  }

  /// Reads the directory entry at `position`; returns the offset of the next one.
  uint64_t add_entry(uint64_t position, uint64_t end, std::map<std::string, ZipEntry>& entries) {
    check(read<uint32_t>(position) == kCentralMagic, "expected a directory entry at byte ",
          position);
    const uint64_t name_size = read<uint16_t>(position + 28);
    const uint64_t extra_size = read<uint16_t>(position + 30);
    const uint64_t next =
        position + kCentralSize + name_size + extra_size + read<uint16_t>(position + 32);
    check(next <= end, "the directory ends early");
    const std::string name(bytes_.substr(position + kCentralSize, name_size));
    check((read<uint16_t>(position + 8) & kEncrypted) == 0, name, " is encrypted");
    const bool compressed = read<uint16_t>(position + 10) != 0;
    std::array<uint64_t, 3> values{read<uint32_t>(position + 24), read<uint32_t>(position + 20),
                                   read<uint32_t>(position + 42)};
    read_zip64(name, position + kCentralSize + name_size, extra_size, values);
    const auto [size, stored_size, offset] = values;
    check(compressed || size == stored_size, name, ": expected ", size, " stored bytes, got ",
          stored_size);
    const ZipEntry entry{data(name, offset, stored_size), read<uint32_t>(position + 16),
                         compressed};
    check(entries.emplace(name, entry).second, name, " occurs twice");
    return next;
  }

  /// Replaces those of size, stored size and offset that do not fit 32 bits. The field holds only
  /// those, in this order.
  void read_zip64(const std::string& name, uint64_t position, uint64_t size,
                  std::array<uint64_t, 3>& values) const {
    if (std::count(values.begin(), values.end(), kIn64) == 0) return;
    const uint64_t end = position + size;
    while (position + 4 <= end && read<uint16_t>(position) != kZip64Field) {
      position += 4 + read<uint16_t>(position + 2);
    }
    check(position + 4 <= end, name, ": found no zip64 field");
    const uint64_t field_end = position + 4 + read<uint16_t>(position + 2);
    check(field_end <= end, name, ": the zip64 field ends early");
    position += 4;
    for (auto& value : values) {
      if (value != kIn64) continue;
      check(position + 8 <= field_end, name, ": the zip64 field ends early");
      value = read<uint64_t>(position);
      position += 8;
    }
  }

  std::string_view data(const std::string& name, uint64_t offset, uint64_t size) {
    check(offset <= bytes_.size() && kLocalSize <= bytes_.size() - offset &&
              read<uint32_t>(offset) == kLocalMagic,
          name, ": found no entry at byte ", offset);
    const uint64_t name_size = read<uint16_t>(offset + 26);
    const uint64_t begin = offset + kLocalSize + name_size + read<uint16_t>(offset + 28);
    check(begin <= bytes_.size() && size <= bytes_.size() - begin, name, ": expected ", size,
          " bytes within the file's ", bytes_.size());
    // Readers that trust the local header would otherwise see another file than we do.
    check(bytes_.substr(offset + kLocalSize, name_size) == name, name,
          ": has another name in its local header");
    extents_.emplace_back(offset, begin + size);
    return bytes_.substr(begin, size);
  }

  // Overlapping entries are how a zip bomb expands a small archive to a large one.
  void check_overlaps() {
    std::sort(extents_.begin(), extents_.end());
    for (size_t i = 1; i < extents_.size(); ++i) {
      check(extents_[i].first >= extents_[i - 1].second, "entries overlap at byte ",
            extents_[i].first);
    }
  }

  std::string_view bytes_;
  const std::string& where_;
  std::vector<std::pair<uint64_t, uint64_t>> extents_;
};

using CrcTables = std::array<std::array<uint32_t, 256>, 8>;

constexpr CrcTables make_crc_tables() {
  CrcTables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) * 0xedb88320u);
    tables[0][byte] = value;
  }
  for (size_t byte = 0; byte < 256; ++byte) {
    for (size_t k = 1; k < 8; ++k) {
      // tables[k][b]: the CRC of byte b followed by k zero bytes.
      const uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

}  // namespace

std::map<std::string, ZipEntry> read_zip(std::string_view archive, const std::string& where) {
  return Archive(archive, where).entries();
}

// Slicing by eight: gigabytes of a checkpoint are verified faster than a disk delivers them.
uint32_t crc32(std::string_view bytes) {
  static constexpr CrcTables kTables = make_crc_tables();
  uint32_t value = ~0u;
  const char* data = bytes.data();
  size_t size = bytes.size();
  for (; size >= 8; size -= 8, data += 8) {
    std::array<uint8_t, 8> chunk;
    std::memcpy(chunk.data(), data, 8);
    for (size_t i = 0; i < 4; ++i) chunk[i] ^= static_cast<uint8_t>(value >> (8 * i));
    value = 0;
    for (size_t i = 0; i < 8; ++i) value ^= kTables[7 - i][chunk[i]];
  }
  for (; size > 0; --size, ++data) {
    value = (value >> 8) ^ kTables[0][(value ^ static_cast<uint8_t>(*data)) & 0xff];
  }
  return ~value;
}

}  // namespace ibot::io
