// From pixels to a JPEG.
#pragma once

#include <cstdint>
#include <vector>

#include "ibot/image/image.h"

namespace ibot::data {

/// A baseline JPEG, colours at half the resolution; `quality` from 1 to 100.
std::vector<uint8_t> encode_jpeg(const Image& image, int quality);

}  // namespace ibot::data
