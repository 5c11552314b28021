#include "fuzz/memory_file.h"
#include "fuzz/targets.h"
#include "ibot/base/error.h"
#include "ibot/io/torch_file.h"

namespace ibot::fuzz {

void read_pickle(std::string_view bytes) {
  const MemoryFile file(bytes);
  try {
    io::read_torch_file(file.path());
  } catch (const CheckpointError&) {
  }
}

}  // namespace ibot::fuzz

#ifdef IBOT_FUZZ
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ibot::fuzz::read_pickle({reinterpret_cast<const char*>(data), size});
  return 0;
}
#endif
