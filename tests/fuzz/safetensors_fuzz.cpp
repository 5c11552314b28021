#include "fuzz/memory_file.h"
#include "fuzz/targets.h"
#include "ibot/base/error.h"
#include "ibot/io/safetensors.h"

namespace ibot::fuzz {

void read_safetensors(std::string_view bytes) {
  const MemoryFile file(bytes);
  try {
    io::read_safetensors(file.path());
  } catch (const CheckpointError&) {
  }
}

}  // namespace ibot::fuzz

#ifdef IBOT_FUZZ
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ibot::fuzz::read_safetensors({reinterpret_cast<const char*>(data), size});
  return 0;
}
#endif
