// How an image is to be turned before it is shown.
#pragma once

#include <cstdint>

#include "codec/codecs.h"
#include "ibot/image/image.h"

namespace ibot::data {

/// Applies the orientation of TIFF and EXIF, 1 to 8; from 5 on rows and columns are exchanged.
Image oriented(Image image, int64_t orientation);

/// Of a JPEG, by its EXIF data; 1 where it states none.
int64_t exif_orientation(Bytes bytes);

}  // namespace ibot::data
