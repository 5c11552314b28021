// The bytes of a file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ibot::data {

/// The whole file. Throws DataError with its path and the system's reason.
std::vector<uint8_t> file_bytes(const std::string& path);

}  // namespace ibot::data
