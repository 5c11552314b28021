#include "codec/tiff_decode.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "codec/orientation.h"
#include "codec/tiff_layout.h"
#include "codec/tiff_parts.h"
#include "codec/tiff_pixels.h"
#include "codec/tiff_planes.h"
#include "codec/tiff_source.h"
#include "codec/wide_gray.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

/// A compression that Pillow reads, and an upper bound of pixels per compressed byte: a header must
/// not claim more pixels than the file can encode. 0: no bound.
struct Compression {
  int64_t id;
  int64_t pixels_per_byte;
};
constexpr auto kCompressions = std::to_array<Compression>({
    {COMPRESSION_NONE, 8},
    {COMPRESSION_CCITTRLE, 0},
    {COMPRESSION_CCITTFAX3, 0},
    {COMPRESSION_CCITTFAX4, 0},
    {COMPRESSION_LZW, 8 * 4096},
    {COMPRESSION_OJPEG, 512},
    {COMPRESSION_JPEG, 512},
    {COMPRESSION_ADOBE_DEFLATE, 8 * 1032},
    {COMPRESSION_CCITTRLEW, 0},
    {COMPRESSION_PACKBITS, 8 * 64},
    {COMPRESSION_THUNDERSCAN, 64},
    {COMPRESSION_DEFLATE, 8 * 1032},
    {COMPRESSION_LZMA, 0},
    {COMPRESSION_ZSTD, 0},
    {COMPRESSION_WEBP, 0},
});

std::string name_of_compression(int64_t id) {
  const TIFFCodec* codec =
      id >= 0 && id <= UINT16_MAX ? TIFFFindCODEC(static_cast<uint16_t>(id)) : nullptr;
  return codec != nullptr ? codec->name : concat("number ", id);
}

/// Throws unless Pillow and libtiff read the compression and the file can hold that many pixels.
void check_compression(const TiffLayout& layout, Bytes bytes, const std::string& name) {
  const auto* found =
      std::find_if(kCompressions.begin(), kCompressions.end(),
                   [&](const Compression& each) { return each.id == layout.compression; });
  IBOT_CHECK_AS(DataError, found != kCompressions.end(), name,
                ": expected a TIFF compression that Pillow reads, got ",
                name_of_compression(layout.compression));
  IBOT_CHECK_AS(DataError, TIFFIsCODECConfigured(static_cast<uint16_t>(found->id)) != 0, name,
                ": expected a TIFF compression that the installed libtiff reads, got ",
                name_of_compression(layout.compression));
  const auto most = static_cast<int64_t>(bytes.size()) * found->pixels_per_byte /
                    (found->id == COMPRESSION_NONE ? layout.bits : 1);
  IBOT_CHECK_AS(DataError, most == 0 || layout.width * layout.height <= most, name,
                ": TIFF file is truncated: ", bytes.size(), " bytes for ", layout.width, " x ",
                layout.height, " pixels");
}

/// Copies `count` samples; those of 12 bits are packed, two in three bytes.
void copy_samples(const uint8_t* from, int64_t bits, int64_t count, uint8_t* to) {
  if (bits != 12) {
    std::memcpy(to, from, count * bits / 8);
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const uint8_t* at = from + i / 2 * 3;
    const int value = i % 2 == 0 ? at[0] << 4 | at[1] >> 4 : (at[1] & 0x0F) << 8 | at[2];
    const auto sample = static_cast<uint16_t>(value);
    std::memcpy(to + 2 * i, &sample, 2);
  }
}

template <class Sample>
void swap_bytes(std::vector<Sample>& samples) {
  for (auto& sample : samples) {
    auto* bytes = reinterpret_cast<uint8_t*>(&sample);
    std::reverse(bytes, bytes + sizeof(Sample));
  }
}

template <class Sample>
CheckedImage read_wide_gray(TiffParts& parts, const TiffLayout& layout, GrayRange range) {
  std::vector<Sample> samples(layout.width * layout.height);
  TiffPart part;
  while (parts.next(part)) {
    for (int64_t y = 0; y < part.height; ++y) {
      auto* to = samples.data() + (part.y + y) * layout.width + part.x;
      copy_samples(part.samples + y * part.row_bytes, layout.bits, part.width,
                   reinterpret_cast<uint8_t*>(to));
    }
  }
  if (layout.swapped) swap_bytes(samples);
  return image_of_wide_gray<Sample>(samples, layout.height, layout.width,
                                    static_cast<int>(layout.bits), range);
}

CheckedImage read_wide_gray(TiffParts& parts, const TiffLayout& layout, GrayRange range) {
  if (layout.format == TiffSampleFormat::kFloat) return read_wide_gray<float>(parts, layout, range);
  const bool is_signed = layout.format == TiffSampleFormat::kSigned;
  if (layout.bits != 32) {
    return is_signed ? read_wide_gray<int16_t>(parts, layout, range)
                     : read_wide_gray<uint16_t>(parts, layout, range);
  }
  // Pillow's mode I is signed: unsigned values of 2^31 and above become negative, hence black.
  return is_signed || range == GrayRange::kClip ? read_wide_gray<int32_t>(parts, layout, range)
                                                : read_wide_gray<uint32_t>(parts, layout, range);
}

/// YCbCr, possibly with subsampled chroma, by libtiff's own conversion as in Pillow, one row of
/// strips or tiles at a time.
Image read_ycbcr(TiffSource& source, const TiffLayout& layout) {
  TIFF* tiff = source.handle();
  source.expect_more_than_rows();
  std::array<char, 1024> reason{};
  TIFFRGBAImage reader{};
  source.require(TIFFRGBAImageBegin(&reader, tiff, 1, reason.data()) != 0, reason.data());
  const std::unique_ptr<TIFFRGBAImage, void (*)(TIFFRGBAImage*)> end(&reader, TIFFRGBAImageEnd);
  // oriented() turns the image afterward; libtiff must not do it as well.
  reader.orientation = reader.req_orientation = ORIENTATION_TOPLEFT;
  uint32_t rows = 0;
  TIFFGetFieldDefaulted(tiff, TIFFIsTiled(tiff) ? TIFFTAG_TILELENGTH : TIFFTAG_ROWSPERSTRIP, &rows);
  const int64_t step = std::clamp<int64_t>(rows, 1, layout.height);
  std::vector<uint32_t> raster(layout.width * step);
  Image image(layout.height, layout.width);
  for (int64_t top = 0; top < layout.height; top += step) {
    const int64_t count = std::min(step, layout.height - top);
    reader.row_offset = static_cast<int>(top);
    source.require(TIFFRGBAImageGet(&reader, raster.data(), static_cast<uint32_t>(layout.width),
                                    static_cast<uint32_t>(count)) != 0);
    for (int64_t i = 0; i < count * layout.width; ++i) {
      uint8_t* to = image.row(top) + 3 * i;
      to[0] = static_cast<uint8_t>(TIFFGetR(raster[i]));
      to[1] = static_cast<uint8_t>(TIFFGetG(raster[i]));
      to[2] = static_cast<uint8_t>(TIFFGetB(raster[i]));
    }
  }
  return image;
}

/// JPEG strips in YCbCr are converted to RGB by libjpeg.
TiffLayout with_rgb_of_jpeg(TiffLayout layout, TIFF* tiff) {
  if (layout.color == TiffColor::kYcbcr && layout.compression == COMPRESSION_JPEG &&
      !layout.planar) {
    TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    layout.color = TiffColor::kRgb;
  }
  return layout;
}

/// A copy of the file with the photometric tag set to gray: libtiff requires three samples for
/// YCbCr.
std::vector<uint8_t> with_plain_gray(Bytes bytes, const TiffDirectory& directory) {
  std::vector<uint8_t> plain(bytes.begin(), bytes.end());
  const Bytes photometric = directory.content(TiffTag::kPhotometric);
  const size_t low = directory.little_endian() ? 0 : photometric.size() - 1;
  plain[photometric.data() - bytes.data() + low] = PHOTOMETRIC_MINISBLACK;
  return plain;
}

Image image_of_raw_planes(Bytes bytes, const TiffDirectory& directory, TiffLayout layout,
                          const std::string& name) {
  const auto samples = read_raw_planes(bytes, directory, layout, name);
  layout.bits = 8;
  const int64_t step = layout.used_samples();
  Image image(layout.height, layout.width);
  TiffPainter(layout, directory)
      .paint({0, 0, layout.width, layout.height, samples.data(), layout.width * step, step}, image);
  return image;
}

CheckedImage read_pixels(TiffSource& source, const TiffLayout& layout,
                         const TiffDirectory& directory, const DecodeOptions& options,
                         const std::string& name) {
  if (layout.color == TiffColor::kYcbcr) return {read_ycbcr(source, layout), {}, {}};
  TiffParts parts(source, layout, options.max_pixels, name);
  if (layout.color == TiffColor::kWideGray) {
    return read_wide_gray(parts, layout, options.gray_range);
  }
  TiffPainter painter(layout, directory);
  Image image(layout.height, layout.width);
  for (TiffPart part; parts.next(part);) painter.paint(part, image);
  return {std::move(image), {}, {}};
}

}  // namespace

std::optional<TiffSize> tiff_size(Bytes bytes) {
  if (!TiffDirectory::begins(bytes)) return std::nullopt;
  const TiffDirectory directory(bytes);
  const auto width = directory.value(TiffTag::kWidth);
  const auto height = directory.value(TiffTag::kHeight);
  if (!width || !height) return std::nullopt;
  const int64_t orientation = directory.orientation();
  return orientation >= 5 && orientation <= 8 ? TiffSize{*height, *width}
                                              : TiffSize{*width, *height};
}

CheckedImage decode_tiff(Bytes bytes, const DecodeOptions& options, const std::string& name) {
  IBOT_CHECK_AS(DataError, tiff_size(bytes).has_value(), name,
                ": TIFF file is truncated within its header");
  const TiffDirectory directory(bytes);
  IBOT_CHECK_AS(DataError, directory.is_whole(), name,
                ": TIFF file is truncated or damaged within its directory");
  const TiffLayout stated = read_tiff_layout(directory, name);
  IBOT_CHECK_AS(
      DataError,
      stated.width > 0 && stated.height > 0 && stated.width <= options.max_pixels / stated.height,
      name, ": expected 1 to ", options.max_pixels, " pixels, got ", stated.width, " x ",
      stated.height);
  check_compression(stated, bytes, name);
  std::vector<uint8_t> plain;
  if (stated.color == TiffColor::kIndexed &&
      directory.value(TiffTag::kPhotometric) == PHOTOMETRIC_YCBCR) {
    bytes = plain = with_plain_gray(bytes, directory);
  }
  // Upper bound of libtiff's allocations: lists of strips (8 bytes for at least 2 in the file),
  // decoder rows, converted YCbCr.
  const int64_t largest_block = (int64_t{64} << 20) + 8 * static_cast<int64_t>(bytes.size()) +
                                8 * stated.width * stated.height;
  TiffSource source(bytes, largest_block, name);
  uint32_t width = 0;
  uint32_t height = 0;
  TIFFGetField(source.handle(), TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(source.handle(), TIFFTAG_IMAGELENGTH, &height);
  IBOT_CHECK_AS(DataError, width == stated.width && height == stated.height, name,
                ": TIFF file states its size twice: ", stated.width, " x ", stated.height, " and ",
                width, " x ", height);
  const TiffLayout layout = with_rgb_of_jpeg(stated, source.handle());
  source.forget_warning();
  auto checked = layout.raw_planes
                     ? CheckedImage{image_of_raw_planes(bytes, directory, layout, name), {}, {}}
                     : read_pixels(source, layout, directory, options, name);
  checked.image = oriented(std::move(checked.image), layout.orientation);
  checked.warning = layout.mistake.empty() ? source.warning() : layout.mistake;
  return checked;
}

}  // namespace ibot::data
