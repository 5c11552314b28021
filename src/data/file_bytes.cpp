#include "data/file_bytes.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <memory>

#include "data/opening.h"
#include "ibot/base/error.h"

namespace ibot::data {

std::vector<uint8_t> file_bytes(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             &std::fclose);
  check_opened(file != nullptr ? 0 : errno, path);
  struct stat status {};
  const bool regular = fstat(fileno(file.get()), &status) == 0 && S_ISREG(status.st_mode);
  IBOT_CHECK_AS(DataError, regular, path, ": expected a file");
  std::vector<uint8_t> bytes(status.st_size);
  const size_t got = std::fread(bytes.data(), 1, bytes.size(), file.get());
  IBOT_CHECK_AS(DataError, got == bytes.size(), path, ": read ", got, " of ", bytes.size(),
                " bytes");
  return bytes;
}

}  // namespace ibot::data
