// The bytes of a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ibot::data {

/// The whole file. Throws DataError with its path and the system's reason.
std::vector<uint8_t> file_bytes(const std::string& path);

/// Up to `count` bytes from its beginning. Throws as file_bytes.
std::vector<uint8_t> first_bytes(const std::string& path, size_t count);

}  // namespace ibot::data
