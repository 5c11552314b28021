#include <gif_lib.h>

#include <algorithm>
#include <array>
#include <memory>

#include "codec/codecs.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

// An LZW code of 12 bits expands to at most this many pixels.
constexpr uint64_t kMaxRun = 4096;

/// The input of giflib. After the last complete block of image data it supplies the block
/// terminator that a truncated file lacks: Pillow reads such files if all pixels are there.
struct Source {
  Bytes rest;
  bool ended = false;
};

int read_source(GifFileType* file, GifByteType* to, int count) {
  auto& source = *static_cast<Source*>(file->UserData);
  if (source.rest.empty() && !source.ended && count == 1) {
    source.ended = true;
    *to = 0;
    return 1;
  }
  const auto got = std::min(source.rest.size(), static_cast<size_t>(count));
  std::copy_n(source.rest.begin(), got, to);
  source.rest = source.rest.subspan(got);
  return static_cast<int>(got);
}

/// Offset of the terminator of the sub-blocks beginning at `at`, or of the first truncated one.
size_t behind_blocks(Bytes bytes, size_t at) {
  while (at < bytes.size() && bytes[at] != 0) {
    const size_t next = at + 1 + bytes[at];
    if (next > bytes.size()) return at;
    at = next;
  }
  return at;
}

/// Size of a color table: 3 * 2^(n + 1) bytes.
size_t table_bytes(uint8_t flags) { return (flags & 0x80) != 0 ? size_t{6} << (flags & 7) : 0; }

using Table = std::array<std::array<uint8_t, 3>, 256>;

/// Whether a table differs from the identity gray ramp, which Pillow ignores.
bool has_colors(const ColorMapObject* map) {
  if (map == nullptr) return false;
  for (int i = 0; i < map->ColorCount; ++i) {
    const auto& color = map->Colors[i];
    if (color.Red != i || color.Green != i || color.Blue != i) return true;
  }
  return false;
}

/// The gray ramp if there are no colors; black for indices beyond the last.
Table colors_of(const GifFileType& file) {
  Table table{};
  // The frame's own color table goes before the global one; without either, indices are gray
  // levels.
  const ColorMapObject* map = has_colors(file.Image.ColorMap) ? file.Image.ColorMap
                              : has_colors(file.SColorMap)    ? file.SColorMap
                                                              : nullptr;
  for (int i = 0; i < 256; ++i) {
    const auto gray = static_cast<uint8_t>(i);
    if (map == nullptr) table[i] = {gray, gray, gray};
    if (map == nullptr || i >= map->ColorCount) continue;
    table[i] = {map->Colors[i].Red, map->Colors[i].Green, map->Colors[i].Blue};
  }
  return table;
}

class GifDecoder {
 public:
  GifDecoder(Bytes bytes, const std::string& name) : source_{bytes}, name_(name) {
    int error = 0;
    file_.reset(DGifOpen(&source_, read_source, &error));
    check(file_ != nullptr, error);
  }

  Image first_frame(int64_t height, int64_t width) {
    skip_to_frame();
    const auto& frame = file_->Image;
    IBOT_CHECK_AS(DataError,
                  frame.Left + frame.Width <= width && frame.Top + frame.Height <= height, name_,
                  ": GIF file is damaged: its first frame lies outside");
    const Table colors = colors_of(*file_);
    Image image(height, width);
    const bool covers = frame.Width == width && frame.Height == height;
    if (!covers) fill(image, colors[transparent_]);
    std::vector<GifPixelType> row(frame.Width);
    for (const int y : order_of_rows()) {
      check(DGifGetLine(file_.get(), row.data(), frame.Width) == GIF_OK, file_->Error);
      uint8_t* to = image.row(frame.Top + y) + 3 * frame.Left;
      for (const auto pixel : row) to = std::copy_n(colors[pixel].begin(), 3, to);
    }
    return image;
  }

 private:
  struct Close {
    void operator()(GifFileType* file) const { DGifCloseFile(file, nullptr); }
  };

  void check(bool ok, int error) const {
    if (ok) return;
    const char* reason = GifErrorString(error);
    throw DataError(concat(name_, ": GIF file is truncated or damaged",
                           reason == nullptr ? "" : ": ", reason == nullptr ? "" : reason));
  }

  void skip_to_frame() {
    GifRecordType type = UNDEFINED_RECORD_TYPE;
    while (true) {
      check(DGifGetRecordType(file_.get(), &type) == GIF_OK, file_->Error);
      IBOT_CHECK_AS(DataError, type != TERMINATE_RECORD_TYPE, name_, ": GIF file without a frame");
      if (type == IMAGE_DESC_RECORD_TYPE) break;
      skip_extension();
    }
    check(DGifGetImageDesc(file_.get()) == GIF_OK, file_->Error);
  }

  void skip_extension() {
    int code = 0;
    GifByteType* block = nullptr;
    check(DGifGetExtension(file_.get(), &code, &block) == GIF_OK, file_->Error);
    // Graphic control extension: a length byte, flags (bit 0: transparency), delay (2), color
    // index.
    const bool control = code == GRAPHICS_EXT_FUNC_CODE && block != nullptr && block[0] >= 4;
    if (control && (block[1] & 1) != 0) transparent_ = block[4];
    while (block != nullptr) {
      check(DGifGetExtensionNext(file_.get(), &block) == GIF_OK, file_->Error);
    }
  }

  std::vector<int> order_of_rows() const {
    const auto& frame = file_->Image;
    std::vector<int> order;
    const auto pass = [&](int first, int step) {
      for (int y = first; y < frame.Height; y += step) order.push_back(y);
    };
    if (!frame.Interlace) {
      pass(0, 1);
      return order;
    }
    // Interlacing in four passes, by the GIF89a specification.
    pass(0, 8);
    pass(4, 8);
    pass(2, 4);
    pass(1, 2);
    return order;
  }

  static void fill(Image& image, const std::array<uint8_t, 3>& color) {
    uint8_t* to = image.row(0);
    for (int64_t i = 0; i < image.height() * image.width(); ++i)
      to = std::copy_n(color.begin(), 3, to);
  }

  Source source_;
  const std::string& name_;
  std::unique_ptr<GifFileType, Close> file_;
  /// The index outside the frame; Pillow takes 0 if none is transparent.
  uint8_t transparent_ = 0;
};

}  // namespace

std::optional<GifHeader> read_gif_header(Bytes bytes) {
  constexpr size_t kScreen = 13;
  constexpr size_t kFrame = 10;
  if (bytes.size() < kScreen) return std::nullopt;
  size_t at = kScreen + table_bytes(bytes[10]);
  // Extensions: '!', label, sub-blocks, terminator. Then ',': the image descriptor.
  while (at + 2 < bytes.size() && bytes[at] == '!') at = behind_blocks(bytes, at + 2) + 1;
  if (at + kFrame >= bytes.size() || bytes[at] != ',') return std::nullopt;
  const auto number = [&](size_t place) { return int64_t{read_little(bytes, place, 2)}; };
  GifHeader header;
  header.frame_pixels = number(at + 5) * number(at + 7);
  header.width = std::max(number(6), number(at + 1) + number(at + 5));
  header.height = std::max(number(8), number(at + 3) + number(at + 7));
  header.end = behind_blocks(bytes, at + kFrame + table_bytes(bytes[at + 9]) + 1);
  return header;
}

Image decode_gif(Bytes bytes, const std::string& name) {
  const auto header = read_gif_header(bytes);
  IBOT_CHECK_AS(DataError, header.has_value(), name, ": GIF file is truncated within its header");
  // Before allocating: a header must not claim more pixels than the bytes can encode.
  IBOT_CHECK_AS(DataError, header->frame_pixels / kMaxRun <= bytes.size(), name,
                ": GIF file is truncated: ", bytes.size(), " bytes for ", header->frame_pixels,
                " pixels");
  return GifDecoder(bytes.first(std::min(header->end, bytes.size())), name)
      .first_frame(header->height, header->width);
}

}  // namespace ibot::data
