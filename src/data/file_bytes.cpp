#include "data/file_bytes.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <memory>

#include "data/opening.h"
#include "ibot/base/error.h"

namespace ibot::data {

namespace {

std::vector<uint8_t> bytes_of(const std::string& path, size_t most) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             &std::fclose);
  check_opened(file != nullptr ? 0 : errno, path);
  struct stat status {};
  // A folder can be opened like a file, and a pipe would be waited for.
  const bool regular = fstat(fileno(file.get()), &status) == 0 && S_ISREG(status.st_mode);
  IBOT_CHECK_AS(DataError, regular, path, ": expected a file");
  std::vector<uint8_t> bytes(std::min(static_cast<size_t>(status.st_size), most));
  const size_t got = std::fread(bytes.data(), 1, bytes.size(), file.get());
  IBOT_CHECK_AS(DataError, got == bytes.size(), path, ": read ", got, " of ", bytes.size(),
                " bytes");
  return bytes;
}

}  // namespace

std::vector<uint8_t> file_bytes(const std::string& path) {
  return bytes_of(path, std::numeric_limits<size_t>::max());
}

std::vector<uint8_t> first_bytes(const std::string& path, size_t count) {
  return bytes_of(path, count);
}

}  // namespace ibot::data
