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

/// The size of the decoded image, orientation applied; nothing when the first directory is
/// truncated or names no size. Allocates nothing.
std::optional<TiffSize> tiff_size(Bytes bytes);

/// The first image of a classic or big TIFF. `warning` is libtiff's first about the pixels.
///
/// Pillow's pixels, also where Pillow mistakes the samples of a sound file: uncompressed planes of
/// 16 bits (bytes pass for samples), of reversed bits (they stay so) and of tiles of four samples
/// whose fourth has no meaning (rows of another length); compressed big-endian int16, int32 and
/// float32 (bytes are exchanged twice); planes of Lab (a and b pass for unsigned). `warning` says
/// so where pixels are not those that were meant.
///
/// Read although Pillow raises: planes with alpha or further samples beside gray, palette, RGB or
/// CMYK; uncompressed YCbCr; big-endian BigTIFF. Refused although Pillow goes on: a damaged strip
/// of YCbCr outside JPEG.
///
/// Throws DataError, naming the file, when it is truncated, damaged, larger than
/// options.max_pixels, or of a layout or compression that Pillow or the installed libtiff does not
/// read.
CheckedImage decode_tiff(Bytes bytes, const DecodeOptions& options, const std::string& name);

}  // namespace ibot::data
