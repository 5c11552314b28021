#include "ibot/data/index_map.h"

#include <png.h>

#include "codec/codecs.h"
#include "data/file_bytes.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

/// `pixels` row by row in the given format; `palette` where the format has one.
std::vector<uint8_t> encoded(const torch::Tensor& pixels, png_uint_32 format,
                             const torch::Tensor& palette) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.height = static_cast<png_uint_32>(pixels.size(0));
  image.width = static_cast<png_uint_32>(pixels.size(1));
  image.format = format;
  const uint8_t* colors = nullptr;
  if (palette.defined()) {
    colors = palette.const_data_ptr<uint8_t>();
    image.colormap_entries = static_cast<png_uint_32>(palette.size(0));
  }
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::vector<uint8_t> bytes(size);
  const int ok = png_image_write_to_memory(&image, bytes.data(), &size, 0,
                                           pixels.const_data_ptr<uint8_t>(), 0, colors);
  IBOT_CHECK(ok != 0, "PNG: ", image.message);
  bytes.resize(size);
  return bytes;
}

}  // namespace

torch::Tensor index_colors() {
  auto colors = torch::zeros({256, 3}, torch::kByte);
  auto values = colors.accessor<uint8_t, 2>();
  for (int index = 0; index < 256; ++index) {
    // PASCAL VOC's colors: three bits of the index go to the channels' highest bits, and so on.
    for (int rest = index, bit = 7; rest > 0; rest >>= 3, --bit) {
      for (int channel = 0; channel < 3; ++channel) {
        values[index][channel] |= static_cast<uint8_t>((rest >> channel & 1) << bit);
      }
    }
  }
  return colors;
}

torch::Tensor read_index_map(const std::string& path) {
  const auto bytes = file_bytes(path);
  const auto format = read_header(bytes, path).format;
  IBOT_CHECK_AS(DataError, format == ImageFormat::kPng, path, ": expected a PNG of indices, got ",
                format_name(format));
  return decode_png_indices(bytes, path);
}

std::vector<uint8_t> index_png(const torch::Tensor& map) {
  return encoded(map.contiguous(), PNG_FORMAT_RGB_COLORMAP, index_colors());
}

std::vector<uint8_t> color_png(const torch::Tensor& image) {
  return encoded(image.permute({1, 2, 0}).contiguous(), PNG_FORMAT_RGB, {});
}

}  // namespace ibot::data
