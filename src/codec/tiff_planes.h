// Planes of a TIFF that are not compressed, as Pillow takes them from the file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "codec/tiff_layout.h"

namespace ibot::data {

/// The first layout.used_samples() planes as one row of 8-bit samples after the other, a pixel's
/// together. As in Pillow every byte is a sample, whatever bits and their order are stated, so that
/// of 16 bits half a row passes for a whole one. Throws DataError when the file ends too early.
///
/// Source: TiffImageFile._setup of Pillow 12.2's TiffImagePlugin.py, "build tile descriptors".
std::vector<uint8_t> read_raw_planes(Bytes bytes, const TiffDirectory& directory,
                                     const TiffLayout& layout, const std::string& name);

}  // namespace ibot::data
