// Hand-made .pth files, byte by byte.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ibot::testing {

template <class T>
std::string little_endian(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

/// CRC-32 one bit at a time.
inline uint32_t slow_crc32(const std::string& bytes) {
  uint32_t value = ~0u;
  for (const char byte : bytes) {
    value ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0u);
  }
  return ~value;
}

/// What can be wrong with an entry.
struct ZipOptions {
  uint16_t method = 0;
  uint16_t flags = 0;
  int64_t more_bytes = 0;  // added to the sizes that the directory tells
  int64_t crc_error = 0;
  bool zip64 = false;
};

using ZipEntries = std::vector<std::pair<std::string, std::string>>;

/// A zip archive of stored entries.
inline std::string zip_of(const ZipEntries& entries, const ZipOptions& options = {}) {
  std::string file, directory;
  for (const auto& [name, data] : entries) {
    const auto crc = static_cast<uint32_t>(slow_crc32(data) + options.crc_error);
    const auto size = static_cast<uint32_t>(static_cast<int64_t>(data.size()) + options.more_bytes);
    const auto offset = static_cast<uint32_t>(file.size());
    const auto told = options.zip64 ? 0xffffffffu : size;
    const std::string extra =
        options.zip64 ? little_endian<uint16_t>(1) + little_endian<uint16_t>(24) +
                            little_endian<uint64_t>(size) + little_endian<uint64_t>(size) +
                            little_endian<uint64_t>(offset)
                      : "";
    const auto common = little_endian<uint16_t>(options.flags) +
                        little_endian<uint16_t>(options.method) + little_endian<uint32_t>(0) +
                        little_endian(crc) + little_endian(told) + little_endian(told) +
                        little_endian(static_cast<uint16_t>(name.size()));
    file += little_endian<uint32_t>(0x04034b50) + little_endian<uint16_t>(20) + common +
            little_endian<uint16_t>(0) + name + data;
    directory += little_endian<uint32_t>(0x02014b50) + little_endian<uint32_t>(20) + common +
                 little_endian(static_cast<uint16_t>(extra.size())) + std::string(10, '\0') +
                 little_endian(options.zip64 ? 0xffffffffu : offset) + name + extra;
  }
  const auto count = static_cast<uint16_t>(entries.size());
  const uint64_t begin = file.size();
  const uint64_t size = directory.size();
  file += directory;
  if (options.zip64) {
    const uint64_t end64 = file.size();
    file += little_endian<uint32_t>(0x06064b50) + little_endian<uint64_t>(44) +
            std::string(12, '\0') + little_endian<uint64_t>(count) +
            little_endian<uint64_t>(count) + little_endian(size) + little_endian(begin) +
            little_endian<uint32_t>(0x07064b50) + little_endian<uint32_t>(0) +
            little_endian(end64) + little_endian<uint32_t>(1);
  }
  const auto last = options.zip64 ? 0xffffffffu : static_cast<uint32_t>(begin);
  return file + little_endian<uint32_t>(0x06054b50) + std::string(4, '\0') + little_endian(count) +
         little_endian(count) + little_endian(static_cast<uint32_t>(size)) + little_endian(last) +
         std::string(2, '\0');
}

/// A file of torch.save whose pickle is `pickle` (without its STOP), with storages "0", "1", ….
inline std::string torch_zip(const std::string& pickle,
                             const std::vector<std::string>& storages = {},
                             const ZipOptions& options = {}) {
  ZipEntries entries{{"a/data.pkl", pickle + "."}, {"a/byteorder", "little"}};
  for (size_t key = 0; key < storages.size(); ++key) {
    entries.emplace_back("a/data/" + std::to_string(key), storages[key]);
  }
  return zip_of(entries, options);
}

inline std::string pickled(const std::string& text) {
  return "X" + little_endian(static_cast<uint32_t>(text.size())) + text;
}

inline std::string pickled(int64_t value) { return "\x8a\x08" + little_endian(value); }

inline std::string pickled(const std::vector<int64_t>& values) {
  std::string tuple = "(";
  for (const auto value : values) tuple += pickled(value);
  return tuple + "t";
}

/// A call of _rebuild_tensor_v2.
inline std::string pickled_tensor(const std::vector<int64_t>& sizes,
                                  const std::vector<int64_t>& strides, int64_t elements,
                                  int64_t offset = 0, const std::string& key = "0",
                                  const std::string& storage = "FloatStorage") {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + pickled("storage") + "ctorch\n" + storage +
         "\n" + pickled(key) + pickled("cpu") + pickled(elements) + "tQ" + pickled(offset) +
         pickled(sizes) + pickled(strides) +
         "\x89"
         "N"
         "tR";
}

}  // namespace ibot::testing
