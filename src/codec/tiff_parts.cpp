#include "codec/tiff_parts.h"

#include <algorithm>
#include <cstring>

#include "ibot/base/error.h"

namespace ibot::data {
namespace {

/// Writes the samples of one plane to every `step`-th place of `to`.
template <class Sample>
void interleave(const std::vector<uint8_t>& plane, int64_t index, int64_t step, uint8_t* to) {
  const size_t count = plane.size() / sizeof(Sample);
  to += index * sizeof(Sample);
  for (size_t i = 0; i < count; ++i, to += step * sizeof(Sample)) {
    std::memcpy(to, plane.data() + i * sizeof(Sample), sizeof(Sample));
  }
}

}  // namespace

TiffParts::TiffParts(TiffSource& source, const TiffLayout& layout, int64_t max_pixels,
                     const std::string& name)
    : source_(source), layout_(layout), tiled_(TIFFIsTiled(source.handle()) != 0) {
  TIFF* tiff = source.handle();
  if (tiled_) {
    TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &width_);
    TIFFGetField(tiff, TIFFTAG_TILELENGTH, &height_);
  } else {
    width_ = static_cast<uint32_t>(layout.width);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &rows_per_strip_);
    height_ = std::min(rows_per_strip_, static_cast<uint32_t>(layout.height));
  }
  IBOT_CHECK_AS(DataError, width_ > 0 && height_ > 0 && height_ <= max_pixels / width_, name,
                ": expected TIFF tiles of 1 to ", max_pixels, " pixels, got ", width_, " x ",
                height_);
  const int64_t bits = layout.bits * (layout.planar ? 1 : layout.samples);
  stored_row_bytes_ = (int64_t{width_} * bits + 7) / 8;
  // libtiff's own row size must agree, or rows would be read past the end of its buffer.
  const int64_t expected = tiled_ ? TIFFTileRowSize(tiff) : TIFFScanlineSize(tiff);
  IBOT_CHECK_AS(DataError, stored_row_bytes_ == expected, name, ": expected TIFF rows of ",
                stored_row_bytes_, " bytes, got ", expected);
}

bool TiffParts::next(TiffPart& part) {
  if (y_ >= layout_.height) return false;
  part.x = x_;
  part.y = y_;
  // Tiles at the right and lower edge are stored whole; only their part within the image is used.
  part.width = std::min<int64_t>(width_, layout_.width - x_);
  part.height = std::min<int64_t>(height_, layout_.height - y_);
  part.samples = layout_.planar ? read_planes(part) : read_contiguous(part);
  x_ += width_;
  if (x_ >= layout_.width) {
    x_ = 0;
    y_ += height_;
  }
  return true;
}

const uint8_t* TiffParts::read_contiguous(TiffPart& part) {
  part.step = layout_.samples;
  part.row_bytes = stored_row_bytes_;
  read_plane(part, 0, stored_);
  return stored_.data();
}

const uint8_t* TiffParts::read_planes(TiffPart& part) {
  // One plane needs no interleaving.
  if (layout_.used_samples() == 1) {
    read_plane(part, 0, stored_);
    part.step = 1;
    part.row_bytes = stored_row_bytes_;
    return stored_.data();
  }
  part.step = layout_.used_samples();
  part.row_bytes = stored_row_bytes_ * part.step;
  for (int64_t plane = 0; plane < part.step; ++plane) {
    read_plane(part, plane, stored_);
    together_.resize(stored_.size() * part.step);
    const auto put = layout_.bits == 8 ? interleave<uint8_t> : interleave<uint16_t>;
    put(stored_, plane, part.step, together_.data());
  }
  return together_.data();
}

void TiffParts::read_plane(const TiffPart& part, int64_t plane, std::vector<uint8_t>& to) {
  TIFF* tiff = source_.handle();
  const int64_t rows = tiled_ ? height_ : part.height;
  if (rows < rows_per_strip_) source_.expect_more_than_rows();
  // Zeros first: libtiff leaves the rest of a damaged part unwritten.
  to.assign(stored_row_bytes_ * rows, 0);
  const auto x = static_cast<uint32_t>(part.x);
  const auto y = static_cast<uint32_t>(part.y);
  const auto sample = static_cast<uint16_t>(plane);
  const auto size = static_cast<tmsize_t>(to.size());
  const auto got =
      tiled_ ? TIFFReadEncodedTile(tiff, TIFFComputeTile(tiff, x, y, 0, sample), to.data(), size)
             : TIFFReadEncodedStrip(tiff, TIFFComputeStrip(tiff, y, sample), to.data(), size);
  source_.require(got == size);
}

}  // namespace ibot::data
