#include <csetjmp>
#include <cstdio>
// jpeglib.h needs the two headers above it.
#include <jpeglib.h>

#include <algorithm>
#include <array>
#include <vector>

#include "codec/cmyk.h"
#include "codec/codecs.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

constexpr int kMaxScans = 256;

/// libjpeg's error handler must not return: it jumps back to attempt().
struct ErrorManager : jpeg_error_mgr {
  jmp_buf escape;
  /// The first warning.
  std::array<char, JMSG_LENGTH_MAX> warning{};
};

struct JpegDecoder {
  JpegDecoder() {
    jpeg.err = jpeg_std_error(&errors);
    errors.error_exit = [](j_common_ptr info) {
      longjmp(static_cast<ErrorManager*>(info->err)->escape, 1);
    };
    // Pillow ignores warnings about damaged data; libjpeg would print them.
    errors.emit_message = [](j_common_ptr info, int level) {
      auto* manager = static_cast<ErrorManager*>(info->err);
      if (level >= 0 || manager->num_warnings++ > 0) return;
      manager->format_message(info, manager->warning.data());
    };
    errors.output_message = [](j_common_ptr) {};
  }
  ~JpegDecoder() { jpeg_destroy_decompress(&jpeg); }
  JpegDecoder(const JpegDecoder&) = delete;

  jpeg_decompress_struct jpeg{};
  ErrorManager errors{};
  jpeg_source_mgr source{};
  jpeg_progress_mgr progress{};
  bool truncated = false;
  bool too_many_scans = false;
  Image image;
  std::vector<uint8_t> row;
};

/// Runs one step of libjpeg; false if it failed. A step must not own resources: longjmp skips
/// destructors.
bool attempt(JpegDecoder& decoder, void (*step)(JpegDecoder&)) {
  if (setjmp(decoder.errors.escape) != 0) return false;
  step(decoder);
  return true;
}

void open(JpegDecoder& decoder, Bytes bytes) {
  decoder.source.next_input_byte = bytes.data();
  decoder.source.bytes_in_buffer = bytes.size();
  decoder.source.init_source = [](j_decompress_ptr) {};
  decoder.source.term_source = [](j_decompress_ptr) {};
  decoder.source.resync_to_restart = jpeg_resync_to_restart;
  // No more input: libjpeg then suspends, which here means that the file is truncated.
  decoder.source.fill_input_buffer = [](j_decompress_ptr) -> boolean { return FALSE; };
  decoder.source.skip_input_data = [](j_decompress_ptr info, long count) {
    const auto left = info->src->bytes_in_buffer;
    const size_t skipped = std::min(left, static_cast<size_t>(std::max(count, 0L)));
    info->src->next_input_byte += skipped;
    info->src->bytes_in_buffer -= skipped;
  };
}

void read_jpeg_header(JpegDecoder& decoder) {
  jpeg_create_decompress(&decoder.jpeg);
  decoder.jpeg.client_data = &decoder;
  decoder.jpeg.src = &decoder.source;
  decoder.jpeg.progress = &decoder.progress;
  // Each progressive scan passes over all coefficients: a small file of thousands of scans could
  // occupy a worker for minutes.
  decoder.progress.progress_monitor = [](j_common_ptr info) {
    const auto* jpeg = reinterpret_cast<j_decompress_ptr>(info);
    if (jpeg->input_scan_number <= kMaxScans) return;
    static_cast<JpegDecoder*>(info->client_data)->too_many_scans = true;
    info->err->error_exit(info);
  };
  decoder.truncated = jpeg_read_header(&decoder.jpeg, TRUE) == JPEG_SUSPENDED;
}

void start(JpegDecoder& decoder) {
  auto& jpeg = decoder.jpeg;
  jpeg.out_color_space = jpeg.num_components == 4   ? JCS_CMYK
                         : jpeg.num_components == 1 ? JCS_GRAYSCALE
                                                    : JCS_RGB;
  decoder.truncated = jpeg_start_decompress(&jpeg) == FALSE;
}

/// Spreads one decoded row of 1 or 4 channels to RGB.
void to_rgb(const uint8_t* from, int channels, int64_t width, uint8_t* to) {
  for (int64_t x = 0; x < width; ++x, from += channels, to += 3) {
    if (channels == 1) {
      to[0] = to[1] = to[2] = from[0];
    } else {
      // Adobe's programs store CMYK inverted: the stored value is 255 - black.
      for (int c = 0; c < 3; ++c) to[c] = without_ink(255 - from[c], from[3]);
    }
  }
}

void read_rows(JpegDecoder& decoder) {
  auto& jpeg = decoder.jpeg;
  const bool direct = jpeg.output_components == 3;
  while (jpeg.output_scanline < jpeg.output_height) {
    // Several rows per call: libjpeg produces up to four at once.
    std::array<JSAMPROW, 4> rows{};
    const auto count =
        direct ? std::min<JDIMENSION>(4, jpeg.output_height - jpeg.output_scanline) : 1;
    uint8_t* target = decoder.image.row(jpeg.output_scanline);
    for (JDIMENSION i = 0; i < count; ++i) {
      rows[i] = direct ? target + 3 * decoder.image.width() * i : decoder.row.data();
    }
    if (jpeg_read_scanlines(&jpeg, rows.data(), count) == 0) {
      decoder.truncated = true;
      return;
    }
    if (!direct) to_rgb(rows[0], jpeg.output_components, decoder.image.width(), target);
  }
  // A missing end-of-image marker after the last row is not an error, as in Pillow.
  jpeg_finish_decompress(&jpeg);
}

void require(JpegDecoder& decoder, void (*step)(JpegDecoder&), const std::string& name) {
  const bool ok = attempt(decoder, step);
  IBOT_CHECK_AS(DataError, !decoder.too_many_scans, name, ": expected at most ", kMaxScans,
                " JPEG scans, got more");
  if (!ok) {
    std::array<char, JMSG_LENGTH_MAX> message{};
    decoder.errors.format_message(reinterpret_cast<j_common_ptr>(&decoder.jpeg), message.data());
    throw DataError(concat(name, ": JPEG: ", message.data()));
  }
  IBOT_CHECK_AS(DataError, !decoder.truncated, name, ": JPEG file is truncated");
}

}  // namespace

CheckedImage decode_jpeg(Bytes bytes, const std::string& name) {
  JpegDecoder decoder;
  open(decoder, bytes);
  require(decoder, read_jpeg_header, name);
  const auto& jpeg = decoder.jpeg;
  const int components = jpeg.num_components;
  IBOT_CHECK_AS(DataError, components == 1 || components == 3 || components == 4, name,
                ": expected a JPEG of 1, 3 or 4 components, got ", components);
  // Before allocating: a Huffman-coded block takes at least one bit, so a header must not claim
  // more blocks than the file can hold.
  const uint64_t blocks = uint64_t{jpeg.image_width} * jpeg.image_height / 64;
  IBOT_CHECK_AS(DataError, jpeg.arith_code || blocks / 8 <= bytes.size(), name,
                ": JPEG file is truncated: ", bytes.size(), " bytes for ", jpeg.image_width, " x ",
                jpeg.image_height, " pixels");
  require(decoder, start, name);
  decoder.image = Image(jpeg.output_height, jpeg.output_width);
  decoder.row.resize(static_cast<size_t>(jpeg.output_width) * jpeg.output_components);
  require(decoder, read_rows, name);
  return {std::move(decoder.image), decoder.errors.warning.data()};
}

}  // namespace ibot::data
