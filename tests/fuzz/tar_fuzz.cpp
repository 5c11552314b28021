#include "fuzz/memory_file.h"
#include "fuzz/targets.h"
#include "ibot/base/error.h"
#include "ibot/io/tar.h"

namespace ibot::fuzz {

void read_tar(std::string_view bytes) {
  const MemoryFile file(bytes);
  try {
    io::TarReader reader(file.path());
    while (const auto entry = reader.next()) {
      if (entry->damage.empty()) reader.content(*entry);
    }
  } catch (const DataError&) {
  }
}

}  // namespace ibot::fuzz

#ifdef IBOT_FUZZ
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ibot::fuzz::read_tar({reinterpret_cast<const char*>(data), size});
  return 0;
}
#endif
