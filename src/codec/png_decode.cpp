#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <csetjmp>
#include <cstdio>
#include <limits>
#include <string_view>

#include "codec/codecs.h"
#include "codec/wide_gray.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

constexpr size_t kSignature = 8;
// Length, type and CRC around the data of a chunk, 4 bytes each.
constexpr size_t kFrame = 12;
// Offset of the data of IHDR.
constexpr size_t kHeader = 16;
constexpr size_t kHeaderBytes = 13;
// Deflate expands one byte to at most this many.
constexpr uint64_t kMaxInflation = 1032;

/// The chunks that decide pixels, ready for libpng, and the image data among them.
struct Chunks {
  std::vector<uint8_t> kept;
  std::vector<Bytes> image_data;
  uint64_t compressed = 0;
  bool ended = false;
};

uint32_t checksum(Bytes bytes) {
  return static_cast<uint32_t>(crc32_z(0, bytes.data(), bytes.size()));
}

void append_big(uint32_t value, std::vector<uint8_t>& to) {
  for (int shift = 24; shift >= 0; shift -= 8) to.push_back(static_cast<uint8_t>(value >> shift));
}

void append_chunk(std::string_view type, Bytes content, std::vector<uint8_t>& to) {
  append_big(static_cast<uint32_t>(content.size()), to);
  const size_t begin = to.size();
  to.insert(to.end(), type.begin(), type.end());
  to.insert(to.end(), content.begin(), content.end());
  append_big(checksum(Bytes(to).subspan(begin)), to);
}

bool decides_pixels(std::string_view type) {
  return type == "IHDR" || type == "PLTE" || type == "IDAT" || type == "IEND";
}

/// Ancillary chunks, damaged or not, are dropped: they change no pixel. An IDAT chunk cut off by
/// the end of the file is in `image_data` only.
Chunks read_chunks(Bytes bytes, const std::string& name) {
  Chunks chunks{.kept = {bytes.begin(), bytes.begin() + kSignature}, .image_data = {}};
  for (size_t at = kSignature; !chunks.ended && at + 8 <= bytes.size();) {
    const uint64_t length = read_big(bytes, at, 4);
    const std::string_view type(reinterpret_cast<const char*>(bytes.data()) + at + 4, 4);
    const bool whole = at + kFrame + length <= bytes.size();
    if (type == "IDAT") {
      const auto data = bytes.subspan(at + 8);
      chunks.image_data.push_back(data.first(std::min<uint64_t>(length, data.size())));
      chunks.compressed += chunks.image_data.back().size();
    }
    if (!whole) break;
    const auto chunk = bytes.subspan(at, kFrame + length);
    if (decides_pixels(type)) {
      IBOT_CHECK_AS(DataError,
                    checksum(chunk.subspan(4, 4 + length)) == read_big(chunk, 8 + length, 4), name,
                    ": PNG file is damaged: wrong checksum of chunk ", type);
      chunks.kept.insert(chunks.kept.end(), chunk.begin(), chunk.end());
    }
    chunks.ended = type == "IEND";
    at += kFrame + length;
  }
  IBOT_CHECK_AS(DataError, chunks.kept.size() >= kHeader + kHeaderBytes + 4, name,
                ": PNG file is truncated within its header");
  return chunks;
}

/// Size of the inflated image data: the rows of each pass, each preceded by its filter byte.
uint64_t inflated_bytes(Bytes header) {
  // By color type: gray, -, RGB, palette, gray + alpha, -, RGBA.
  constexpr std::array<uint64_t, 7> kChannels{1, 0, 3, 1, 2, 0, 4};
  const uint64_t width = read_big(header, 0, 4);
  const uint64_t height = read_big(header, 4, 4);
  const uint64_t bits = header[8] * kChannels[std::min<size_t>(header[9], 6)];
  const auto rows = [bits](uint64_t columns, uint64_t count) {
    return columns == 0 ? 0 : count * (1 + (columns * bits + 7) / 8);
  };
  if (header[12] == 0) return rows(width, height);
  uint64_t sum = 0;
  for (int pass = 0; pass < 7; ++pass) {
    sum += rows(PNG_PASS_COLS(width, pass), PNG_PASS_ROWS(height, pass));
  }
  return sum;
}

std::vector<uint8_t> inflated(const Chunks& chunks, uint64_t wanted, const std::string& name) {
  std::vector<uint8_t> rows(wanted);
  z_stream stream{};
  IBOT_CHECK(inflateInit(&stream) == Z_OK, "zlib: out of memory");
  stream.next_out = rows.data();
  stream.avail_out = static_cast<uInt>(wanted);
  int status = Z_OK;
  for (const auto part : chunks.image_data) {
    stream.next_in = const_cast<uint8_t*>(part.data());
    stream.avail_in = static_cast<uInt>(part.size());
    // Stops when all rows are there: what follows the last pixel, damaged or not, is ignored.
    while (status == Z_OK && stream.avail_in > 0 && stream.avail_out > 0) {
      status = inflate(&stream, Z_NO_FLUSH);
    }
  }
  inflateEnd(&stream);
  IBOT_CHECK_AS(DataError, stream.avail_out == 0, name,
                ": PNG file is truncated: ", wanted - stream.avail_out, " of ", wanted,
                " bytes of pixels");
  return rows;
}

/// Pillow reads a file without IEND if all pixels are there; libpng does not. Rebuilds the file
/// from the pixels inflated so far: valid data chunks and checksums, then IEND.
void complete(Chunks& chunks, const std::string& name) {
  const auto header = Bytes(chunks.kept).subspan(kHeader, kHeaderBytes);
  const uint64_t wanted = inflated_bytes(header);
  const uint64_t limit = std::numeric_limits<int32_t>::max();
  IBOT_CHECK_AS(DataError, compressBound(wanted) <= limit, name, ": PNG file is truncated");
  const auto rows = inflated(chunks, wanted, name);
  uLongf size = compressBound(wanted);
  std::vector<uint8_t> compressed(size);
  IBOT_CHECK(compress2(compressed.data(), &size, rows.data(), wanted, Z_BEST_SPEED) == Z_OK,
             "zlib: out of memory");
  std::vector<uint8_t> whole(chunks.kept.begin(), chunks.kept.begin() + kSignature);
  for (size_t at = kSignature; at < chunks.kept.size();) {
    const size_t length = kFrame + read_big(chunks.kept, at, 4);
    const auto chunk = Bytes(chunks.kept).subspan(at, length);
    if (chunk[4] != 'I' || chunk[5] != 'D') whole.insert(whole.end(), chunk.begin(), chunk.end());
    at += length;
  }
  append_chunk("IDAT", Bytes(compressed).first(size), whole);
  append_chunk("IEND", {}, whole);
  chunks.kept = std::move(whole);
}

/// libpng's error handler must not return: it jumps back to attempt().
struct PngDecoder {
  explicit PngDecoder(Bytes bytes) : rest(bytes) {
    png = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, this,
        [](png_structp reader, png_const_charp text) {
          auto* decoder = static_cast<PngDecoder*>(png_get_error_ptr(reader));
          std::snprintf(decoder->message.data(), decoder->message.size(), "%s", text);
          longjmp(decoder->escape, 1);
        },
        [](png_structp, png_const_charp) {});
    IBOT_CHECK(png != nullptr, "libpng: out of memory");
  }
  ~PngDecoder() { png_destroy_read_struct(&png, &info, nullptr); }
  PngDecoder(const PngDecoder&) = delete;

  png_structp png = nullptr;
  png_infop info = nullptr;
  Bytes rest;
  jmp_buf escape;
  std::array<char, 128> message{};
  int passes = 1;
  Image image;
  /// Destination of 16-bit gray, instead of `image`.
  std::vector<uint16_t> samples;
  /// Where indices are read to.
  uint8_t* indices = nullptr;
};

/// Runs one step of libpng; throws if it failed. A step must not own resources: longjmp skips
/// destructors.
void attempt(PngDecoder& decoder, void (*step)(PngDecoder&), const std::string& name) {
  if (setjmp(decoder.escape) == 0) {
    step(decoder);
    return;
  }
  throw DataError(concat(name, ": PNG: ", decoder.message.data()));
}

bool is_wide_gray(const PngDecoder& decoder) {
  return png_get_color_type(decoder.png, decoder.info) == PNG_COLOR_TYPE_GRAY &&
         png_get_bit_depth(decoder.png, decoder.info) == 16;
}

void read_png_header(PngDecoder& decoder) {
  auto* png = decoder.png;
  decoder.info = png_create_info_struct(png);
  // read_header() has limited the pixels, read_chunks() has verified the checksums.
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_crc_action(png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
  png_set_read_fn(png, &decoder, [](png_structp reader, png_bytep to, size_t count) {
    auto& rest = static_cast<PngDecoder*>(png_get_io_ptr(reader))->rest;
    if (count > rest.size()) png_error(reader, "file is truncated");
    std::copy_n(rest.begin(), count, to);
    rest = rest.subspan(count);
  });
  png_read_info(png, decoder.info);
}

/// Asks libpng for 8-bit RGB, or for 16-bit gray in native byte order.
void choose_samples(PngDecoder& decoder) {
  auto* png = decoder.png;
  if (is_wide_gray(decoder)) {
    if constexpr (std::endian::native == std::endian::little) png_set_swap(png);
  } else {
    png_set_strip_16(png);
    png_set_strip_alpha(png);
    png_set_expand(png);
    png_set_gray_to_rgb(png);
  }
  decoder.passes = png_set_interlace_handling(png);
  const size_t row =
      (is_wide_gray(decoder) ? size_t{2} : size_t{3}) * png_get_image_width(png, decoder.info);
  png_read_update_info(png, decoder.info);
  // read_rows() relies on this row size.
  if (png_get_rowbytes(png, decoder.info) != row) png_error(png, "samples of an unknown kind");
}

void read_rows(PngDecoder& decoder) {
  const bool wide = !decoder.samples.empty();
  const int64_t height = png_get_image_height(decoder.png, decoder.info);
  const int64_t width = png_get_image_width(decoder.png, decoder.info);
  for (int pass = 0; pass < decoder.passes; ++pass) {
    for (int64_t y = 0; y < height; ++y) {
      auto* row = wide ? reinterpret_cast<uint8_t*>(decoder.samples.data() + y * width)
                       : decoder.image.row(y);
      png_read_row(decoder.png, row, nullptr);
    }
  }
}

/// The chunks of a file whose pixels can come, its end among them.
Chunks whole_chunks(Bytes bytes, const std::string& name) {
  auto chunks = read_chunks(bytes, name);
  // Before allocating: a header must not claim more pixels than the bytes can encode.
  const uint64_t pixels = uint64_t{read_big(bytes, 16, 4)} * read_big(bytes, 20, 4);
  IBOT_CHECK_AS(DataError, pixels / 8 <= chunks.compressed * kMaxInflation, name,
                ": PNG file is truncated: ", chunks.compressed, " bytes for ", pixels, " pixels");
  if (!chunks.ended) complete(chunks, name);
  return chunks;
}

/// Makes libpng give a byte a pixel: the index, or the gray value as it is stored.
void choose_indices(PngDecoder& decoder) {
  auto* png = decoder.png;
  png_set_packing(png);
  decoder.passes = png_set_interlace_handling(png);
  const size_t row = png_get_image_width(png, decoder.info);
  png_read_update_info(png, decoder.info);
  if (png_get_rowbytes(png, decoder.info) != row) png_error(png, "expected one channel of 8 bits");
}

void read_index_rows(PngDecoder& decoder) {
  const auto height = static_cast<int64_t>(png_get_image_height(decoder.png, decoder.info));
  const auto width = static_cast<int64_t>(png_get_image_width(decoder.png, decoder.info));
  for (int pass = 0; pass < decoder.passes; ++pass) {
    for (int64_t y = 0; y < height; ++y) {
      png_read_row(decoder.png, decoder.indices + y * width, nullptr);
    }
  }
}

}  // namespace

torch::Tensor decode_png_indices(Bytes bytes, const std::string& name) {
  const auto chunks = whole_chunks(bytes, name);
  PngDecoder decoder(chunks.kept);
  attempt(decoder, read_png_header, name);
  attempt(decoder, choose_indices, name);
  auto map = torch::empty({png_get_image_height(decoder.png, decoder.info),
                           png_get_image_width(decoder.png, decoder.info)},
                          torch::kByte);
  decoder.indices = map.mutable_data_ptr<uint8_t>();
  attempt(decoder, read_index_rows, name);
  return map;
}

CheckedImage decode_png(Bytes bytes, const std::string& name, GrayRange range) {
  const auto chunks = whole_chunks(bytes, name);
  PngDecoder decoder(chunks.kept);
  attempt(decoder, read_png_header, name);
  const int64_t height = png_get_image_height(decoder.png, decoder.info);
  const int64_t width = png_get_image_width(decoder.png, decoder.info);
  const bool wide = is_wide_gray(decoder);
  attempt(decoder, choose_samples, name);
  if (wide) {
    decoder.samples.resize(height * width);
  } else {
    decoder.image = Image(height, width);
  }
  attempt(decoder, read_rows, name);
  if (!wide) return {std::move(decoder.image), {}, {}};
  return image_of_wide_gray<uint16_t>(decoder.samples, height, width, 16, range);
}

}  // namespace ibot::data
