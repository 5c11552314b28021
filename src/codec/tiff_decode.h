// TIFF to RGB, as Pillow reads it.
#pragma once

#include <optional>
#include <string>

#include "codec/codecs.h"
#include "ibot/codec/decode.h"
#include "ibot/codec/decode_options.h"

namespace ibot::data {

struct TiffSize {
  int64_t width = 0;
  int64_t height = 0;
};

/// The size of the decoded image, orientation applied; nullopt if the first directory is truncated
/// or has no size. Allocates nothing.
std::optional<TiffSize> tiff_size(Bytes bytes);

/// The first image of a classic TIFF or BigTIFF. `warning` is libtiff's first about the pixels.
///
/// Pillow's pixels, even where Pillow misreads a valid file: uncompressed planes of 16 bits (bytes
/// are taken for samples), of reversed bits (left reversed) and of tiles of four samples whose
/// fourth has no meaning (another row length); compressed big-endian int16, int32 and float32
/// (bytes swapped twice); planes of Lab (a and b taken for unsigned). `warning` says so when the
/// pixels are not the intended ones.
///
/// Read although Pillow raises: planes with alpha or further samples besides gray, palette, RGB or
/// CMYK; uncompressed YCbCr; big-endian BigTIFF. Refused although Pillow continues: a damaged strip
/// of YCbCr other than JPEG.
///
/// Throws DataError, naming the file, if it is truncated, damaged, larger than options.max_pixels,
/// or of a layout or compression that Pillow or the installed libtiff does not read.
CheckedImage decode_tiff(Bytes bytes, const DecodeOptions& options, const std::string& name);

}  // namespace ibot::data
