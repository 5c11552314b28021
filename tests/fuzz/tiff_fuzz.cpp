#include "data/tiff_decode.h"
#include "fuzz/targets.h"
#include "ibot/base/error.h"
#include "ibot/data/decode.h"

namespace ibot::fuzz {

void read_tiff(std::string_view bytes) {
  const data::Bytes content(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  try {
    data::read_header(content, "fuzz");
  } catch (const DataError&) {
  }
  // A limit that keeps each run short.
  const data::DecodeOptions options{.max_pixels = 1 << 20};
  try {
    data::decode_tiff(content, options, "fuzz");
  } catch (const DataError&) {
  }
}

}  // namespace ibot::fuzz

#ifdef IBOT_FUZZ
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ibot::fuzz::read_tiff({reinterpret_cast<const char*>(data), size});
  return 0;
}
#endif
