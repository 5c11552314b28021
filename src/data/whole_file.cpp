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

bool little_endian(Bytes tiff) { return tiff[0] == 'I'; }

/// Where and how much memory the pixels of a TIFF take, read from one list of its directory.
struct TiffReader {
  Bytes bytes;
  bool little;

  uint64_t number(size_t position, int size) const {
    if (position + size > bytes.size()) return UINT32_MAX;
    return little ? read_little(bytes, position, size) : read_big(bytes, position, size);
  }
  /// Value `i` of the directory entry at `entry`, whose values lie elsewhere when they are many.
  uint64_t value(size_t entry, uint64_t i) const {
    const int size = number(entry + 2, 2) == 3 ? 2 : 4;
    const bool inside = number(entry + 4, 4) * size <= 4;
    return number((inside ? entry + 8 : number(entry + 8, 4)) + i * size, size);
  }
};

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

std::vector<uint8_t> plain_tiff(Bytes bytes, const std::string& name) {
  const TiffReader tiff{bytes, little_endian(bytes)};
  const size_t directory = tiff.number(4, 4);
  const uint64_t entries = tiff.number(directory, 2);
  std::vector<uint8_t> plain(bytes.begin(), bytes.end());
  size_t offsets = 0;
  size_t sizes = 0;
  IBOT_CHECK_AS(DataError, directory + 2 + 12 * entries <= bytes.size(), name,
                ": TIFF file is truncated within its directory");
  for (uint64_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    const uint64_t tag = tiff.number(entry, 2);
    if (tag == 273 || tag == 324) offsets = entry;
    if (tag == 279 || tag == 325) sizes = entry;
    // Extra samples: 2 is separate alpha, 1 alpha that the colours are multiplied with.
    if (tag == 338 && tiff.number(entry + 4, 4) == 1 && tiff.value(entry, 0) == 2) {
      plain[entry + (little_endian(bytes) ? 8 : 9)] = 1;
    }
  }
  IBOT_CHECK_AS(DataError, offsets != 0 && sizes != 0, name, ": TIFF file without pixels");
  const uint64_t parts = std::min(tiff.number(offsets + 4, 4), tiff.number(sizes + 4, 4));
  for (uint64_t i = 0; i < parts; ++i) {
    const uint64_t end = tiff.value(offsets, i) + tiff.value(sizes, i);
    IBOT_CHECK_AS(DataError, end <= bytes.size(), name, ": TIFF file is truncated: ", bytes.size(),
                  " of ", end, " bytes");
  }
  return plain;
}

}  // namespace ibot::data
