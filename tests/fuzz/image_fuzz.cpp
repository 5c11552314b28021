#include "fuzz/targets.h"
#include "ibot/base/error.h"
#include "ibot/codec/decode.h"

namespace ibot::fuzz {

void read_image(std::string_view bytes) {
  try {
    data::decode_checked({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, "image",
                         {.max_pixels = 1 << 20});
  } catch (const DataError&) {
  }
}

}  // namespace ibot::fuzz

#ifdef IBOT_FUZZ
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ibot::fuzz::read_image({reinterpret_cast<const char*>(data), size});
  return 0;
}
#endif
