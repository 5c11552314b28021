// JPEG encoding.
#pragma once

#include <cstdint>
#include <vector>

#include "ibot/image/image.h"

namespace ibot::data {

/// A baseline JPEG with 4:2:0 chroma subsampling; `quality` from 1 to 100.
std::vector<uint8_t> encode_jpeg(const Image& image, int quality);

}  // namespace ibot::data
