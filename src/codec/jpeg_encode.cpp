#include "codec/jpeg_encode.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
// jpeglib.h needs the two headers above it.
#include <jpeglib.h>

#include "ibot/base/error.h"

namespace ibot::data {
namespace {

/// libjpeg's error handler must not return: it jumps back to encode_jpeg().
struct Encoder : jpeg_error_mgr {
  Encoder() {
    jpeg.err = jpeg_std_error(this);
    // libjpeg's default ends the process. C++ exceptions must not pass through C code: longjmp.
    error_exit = [](j_common_ptr info) { longjmp(static_cast<Encoder*>(info->err)->escape, 1); };
    output_message = [](j_common_ptr) {};
  }
  ~Encoder() {
    jpeg_destroy_compress(&jpeg);
    std::free(bytes);
  }
  Encoder(const Encoder&) = delete;

  void write(const Image& image, int quality) {
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_height = static_cast<JDIMENSION>(image.height());
    jpeg.image_width = static_cast<JDIMENSION>(image.width());
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, quality, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
      auto* row = const_cast<uint8_t*>(image.row(jpeg.next_scanline));
      jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
  }

  jpeg_compress_struct jpeg{};
  jmp_buf escape;
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
};

}  // namespace

std::vector<uint8_t> encode_jpeg(const Image& image, int quality) {
  Encoder encoder;
  if (setjmp(encoder.escape) != 0) throw Error("JPEG: out of memory");
  encoder.write(image, quality);
  return {encoder.bytes, encoder.bytes + encoder.size};
}

}  // namespace ibot::data
