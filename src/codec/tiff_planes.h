// Uncompressed planes of a TIFF, as Pillow reads them without libtiff.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "codec/tiff_layout.h"

namespace ibot::data {

/// The first layout.used_samples() planes as [height, width, samples] of 8 bits. As in Pillow every
/// byte is a sample, whatever bit depth and bit order are stated: with 16 bits, half a row is taken
/// for a whole one. Throws DataError if the file ends too early.
///
/// Source: TiffImageFile._setup of Pillow 12.2's TiffImagePlugin.py, "build tile descriptors".
std::vector<uint8_t> read_raw_planes(Bytes bytes, const TiffDirectory& directory,
                                     const TiffLayout& layout, const std::string& name);

}  // namespace ibot::data
