#include "ibot/data/picture_files.h"

#include <png.h>

#include <algorithm>
#include <cmath>

#include "codec/jpeg_encode.h"
#include "ibot/base/error.h"
#include "ibot/io/file.h"

namespace ibot::data {
namespace {

constexpr int kFrameQuality = 90;
// Flags of AVI's header and of its index: every frame of Motion JPEG stands for itself.
constexpr uint32_t kHasIndex = 0x10;
constexpr uint32_t kKeyFrame = 0x10;

/// Little-endian numbers and chunks of RIFF.
class Riff {
 public:
  Riff& text(std::string_view name) {
    bytes_ += name;
    return *this;
  }
  Riff& number(uint64_t value, int bytes = 4) {
    for (int i = 0; i < bytes; ++i) bytes_ += static_cast<char>(value >> (8 * i));
    return *this;
  }
  Riff& chunk(std::string_view name, const std::string& content) {
    text(name).number(content.size());
    bytes_ += content;
    // RIFF's chunks begin at even places.
    if (content.size() % 2 != 0) bytes_ += '\0';
    return *this;
  }
  Riff& list(std::string_view name, const std::string& content) {
    return chunk("LIST", std::string(name) + content);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

struct Movie {
  int64_t height = 0;
  int64_t width = 0;
  uint64_t frames = 0;
  uint64_t largest = 0;
  double rate = 0;
};

std::string main_header(const Movie& movie) {
  Riff header;
  header.number(static_cast<uint64_t>(std::llround(1e6 / movie.rate)));
  header.number(0).number(0).number(kHasIndex).number(movie.frames).number(0).number(1);
  header.number(movie.largest).number(movie.width).number(movie.height);
  for (int i = 0; i < 4; ++i) header.number(0);
  return header.bytes();
}

std::string stream_header(const Movie& movie) {
  constexpr uint32_t kScale = 1000;
  Riff header;
  header.text("vids").text("MJPG").number(0).number(0).number(0).number(kScale);
  header.number(static_cast<uint64_t>(std::llround(movie.rate * kScale))).number(0);
  header.number(movie.frames).number(movie.largest).number(0xffffffff).number(0);
  header.number(0, 2).number(0, 2).number(movie.width, 2).number(movie.height, 2);
  return header.bytes();
}

std::string stream_format(const Movie& movie) {
  Riff header;
  header.number(40).number(movie.width).number(movie.height).number(1, 2).number(24, 2);
  header.text("MJPG").number(3 * movie.width * movie.height);
  for (int i = 0; i < 4; ++i) header.number(0);
  return header.bytes();
}

}  // namespace

std::string png_bytes(const Image& image) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.width());
  png.height = static_cast<png_uint_32>(image.height());
  png.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
  std::string bytes(size, '\0');
  const int done =
      png_image_write_to_memory(&png, bytes.data(), &size, 0, image.row(0), 0, nullptr);
  IBOT_CHECK(done != 0, "PNG: ", png.message);
  bytes.resize(size);
  return bytes;
}

std::string jpeg_bytes(const Image& image, int quality) {
  const auto bytes = encode_jpeg(image, quality);
  return {bytes.begin(), bytes.end()};
}

void Video::add(const Image& frame) {
  if (frames_.empty()) {
    height_ = frame.height();
    width_ = frame.width();
  }
  IBOT_CHECK(frame.height() == height_ && frame.width() == width_, "video: expected frames of ",
             height_, " x ", width_, " pixels, got ", frame.height(), " x ", frame.width());
  frames_.push_back(jpeg_bytes(frame, kFrameQuality));
}

void Video::write(const std::filesystem::path& path) const {
  IBOT_CHECK(!frames_.empty(), path.string(), ": expected at least one frame");
  Movie movie{height_, width_, frames_.size(), 0, rate_};
  Riff frames, index;
  for (const auto& frame : frames_) {
    const auto offset = frames.bytes().size() + 4;  // behind the list's name
    index.text("00dc").number(kKeyFrame).number(offset).number(frame.size());
    frames.chunk("00dc", frame);
    movie.largest = std::max<uint64_t>(movie.largest, frame.size());
  }
  // Sizes of RIFF have 32 bits, and many players take them as signed.
  IBOT_CHECK(frames.bytes().size() < uint64_t{1} << 31, path.string(),
             ": expected a video below 2 GiB; make it of fewer or smaller frames");
  Riff stream, headers, content, file;
  stream.chunk("strh", stream_header(movie)).chunk("strf", stream_format(movie));
  headers.chunk("avih", main_header(movie)).list("strl", stream.bytes());
  content.text("AVI ").list("hdrl", headers.bytes()).list("movi", frames.bytes());
  content.chunk("idx1", index.bytes());
  file.chunk("RIFF", content.bytes());
  io::write_file(path, file.bytes());
}

}  // namespace ibot::data
