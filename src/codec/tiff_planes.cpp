#include "codec/tiff_planes.h"

#include <algorithm>

#include "ibot/base/error.h"

namespace ibot::data {
namespace {

/// Offsets of strips or tiles, and their size in pixels.
struct Parts {
  std::vector<int64_t> offsets;
  int64_t width = 0;
  int64_t height = 0;
};

Parts parts_of(const TiffDirectory& directory, const TiffLayout& layout) {
  auto strips = directory.values(TiffTag::kStripOffsets);
  if (!strips.empty()) {
    return {std::move(strips), layout.width,
            directory.value_or(TiffTag::kRowsPerStrip, layout.height)};
  }
  return {directory.values(TiffTag::kTileOffsets), directory.value_or(TiffTag::kTileWidth, 0),
          directory.value_or(TiffTag::kTileLength, 0)};
}

}  // namespace

std::vector<uint8_t> read_raw_planes(Bytes bytes, const TiffDirectory& directory,
                                     const TiffLayout& layout, const std::string& name) {
  const Parts parts = parts_of(directory, layout);
  IBOT_CHECK_AS(DataError, parts.width > 0 && parts.height > 0, name,
                ": expected TIFF tiles of 1 pixel or more, got ", parts.width, " x ", parts.height);
  const int64_t across = (layout.width + parts.width - 1) / parts.width;
  const int64_t down = (layout.height + parts.height - 1) / parts.height;
  const int64_t planes = layout.used_samples();
  const int64_t stated_planes =
      planes + static_cast<int64_t>(directory.values(TiffTag::kExtraSamples).size());
  IBOT_CHECK_AS(DataError, static_cast<int64_t>(parts.offsets.size()) / planes >= across * down,
                name, ": TIFF file is truncated or damaged: ", parts.offsets.size(),
                " parts of planes, expected ", across, " x ", down, " x ", planes);
  std::vector<uint8_t> samples(layout.width * layout.height * planes);
  for (int64_t i = 0; i < across * down * planes; ++i) {
    const int64_t plane = i / (across * down);
    const int64_t x = i % across * parts.width;
    const int64_t y = i / across % down * parts.height;
    const int64_t width = std::min(parts.width, layout.width - x);
    const int64_t height = std::min(parts.height, layout.height - y);
    // Pillow's formula for tiles that extend beyond the right edge; others have one byte per
    // sample.
    const bool beyond_edge = x + parts.width > layout.width;
    const int64_t stride =
        beyond_edge ? parts.width * layout.samples * layout.bits / 8 / stated_planes : parts.width;
    const int64_t begin = parts.offsets[i];
    const auto size = static_cast<int64_t>(bytes.size());
    IBOT_CHECK_AS(
        DataError, begin >= 0 && begin <= size && (height - 1) * stride + width <= size - begin,
        name, ": TIFF file is truncated: ", size, " bytes, a part of its planes begins at ", begin);
    for (int64_t row = 0; row < height; ++row) {
      const uint8_t* from = bytes.data() + begin + row * stride;
      uint8_t* to = samples.data() + ((y + row) * layout.width + x) * planes + plane;
      for (int64_t column = 0; column < width; ++column) to[column * planes] = from[column];
    }
  }
  return samples;
}

}  // namespace ibot::data
