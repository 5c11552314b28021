#include <zlib.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "data/codecs.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

constexpr size_t kSignature = 8;
// Length, type and checksum around the data of a chunk.
constexpr size_t kFrame = 12;
constexpr std::array<uint8_t, kFrame> kEndOfPng{0,   0,   0,    0,    'I',  'E',
                                                'N', 'D', 0xAE, 0x42, 0x60, 0x82};
// Deflate makes at most this many bytes of one.
constexpr uint64_t kMaxInflation = 1032;

/// The checksum of PNG chunks, bit-reversed CRC-32.
uint32_t crc32(Bytes bytes) {
  static const auto table = [] {
    std::array<uint32_t, 256> entries{};
    for (uint32_t i = 0; i < 256; ++i) {
      entries[i] = i;
      for (int bit = 0; bit < 8; ++bit) {
        entries[i] = (entries[i] >> 1) ^ ((entries[i] & 1) != 0 ? 0xEDB88320U : 0U);
      }
    }
    return entries;
  }();
  uint32_t crc = 0xFFFFFFFF;
  for (const uint8_t byte : bytes) crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF];
  return ~crc;
}

bool essential(std::string_view type) {
  return type == "IHDR" || type == "PLTE" || type == "IDAT" || type == "IEND";
}

/// Whether a zlib stream in `parts` comes to its end.
bool is_whole_stream(const std::vector<Bytes>& parts) {
  z_stream stream{};
  IBOT_CHECK(inflateInit(&stream) == Z_OK, "zlib: no memory left");
  std::array<uint8_t, 1 << 15> pixels{};
  int status = Z_OK;
  for (const auto part : parts) {
    stream.next_in = const_cast<uint8_t*>(part.data());
    stream.avail_in = static_cast<uInt>(part.size());
    do {
      stream.next_out = pixels.data();
      stream.avail_out = static_cast<uInt>(pixels.size());
      status = inflate(&stream, Z_NO_FLUSH);
    } while (status == Z_OK && stream.avail_out == 0);
    if (status != Z_OK && status != Z_BUF_ERROR) break;
  }
  inflateEnd(&stream);
  return status == Z_STREAM_END;
}

}  // namespace

std::vector<uint8_t> essential_png(Bytes bytes, const std::string& name) {
  std::vector<uint8_t> kept(bytes.begin(), bytes.begin() + kSignature);
  std::vector<Bytes> parts;
  uint64_t compressed = 0;
  bool ended = false;
  for (size_t position = kSignature; !ended && position + kFrame <= bytes.size();) {
    const uint64_t length = read_big(bytes, position, 4);
    if (position + kFrame + length > bytes.size()) break;
    const std::string_view type(reinterpret_cast<const char*>(bytes.data()) + position + 4, 4);
    const auto chunk = bytes.subspan(position, kFrame + length);
    if (essential(type)) {
      IBOT_CHECK_AS(DataError,
                    crc32(chunk.subspan(4, 4 + length)) == read_big(chunk, 8 + length, 4), name,
                    ": PNG file is damaged: wrong checksum of chunk ", type);
      kept.insert(kept.end(), chunk.begin(), chunk.end());
    }
    if (type == "IDAT") {
      parts.push_back(chunk.subspan(8, length));
      compressed += length;
    }
    ended = type == "IEND";
    position += kFrame + length;
  }
  // Pillow reads a file that lacks its end once all pixels are there.
  IBOT_CHECK_AS(DataError, ended || is_whole_stream(parts), name, ": PNG file is truncated");
  if (!ended) kept.insert(kept.end(), kEndOfPng.begin(), kEndOfPng.end());
  // A pixel takes a bit at least: a header cannot claim memory for what cannot come.
  const uint64_t pixels = uint64_t{read_big(bytes, 16, 4)} * read_big(bytes, 20, 4);
  IBOT_CHECK_AS(DataError, pixels / 8 <= compressed * kMaxInflation, name,
                ": PNG file is truncated: ", compressed, " bytes for ", pixels, " pixels");
  return kept;
}

void check_bmp_is_whole(Bytes bytes, const std::string& name) {
  IBOT_CHECK_AS(DataError, bytes.size() >= 30, name, ": BMP file is truncated");
  const bool core = read_little(bytes, 14, 4) == 12;
  const bool compressed = !core && bytes.size() >= 34 &&
                          (read_little(bytes, 30, 4) == 1 || read_little(bytes, 30, 4) == 2);
  if (compressed) return;
  const int64_t width = core ? read_little(bytes, 18, 2) : read_little(bytes, 18, 4);
  const int64_t height =
      core ? static_cast<int64_t>(read_little(bytes, 20, 2))
           : std::abs(static_cast<int64_t>(static_cast<int32_t>(read_little(bytes, 22, 4))));
  const int64_t bits = read_little(bytes, core ? 24 : 28, 2);
  const int64_t needed = (width * bits + 31) / 32 * 4 * height;
  const int64_t got = static_cast<int64_t>(bytes.size()) - read_little(bytes, 10, 4);
  IBOT_CHECK_AS(DataError, got >= needed, name, ": BMP file is truncated: ", got, " of ", needed,
                " bytes of pixels");
}

}  // namespace ibot::data
