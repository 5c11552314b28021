// DAVIS: videos in which objects are outlined.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ibot/data/file_list.h"
#include "ibot/image/thumbnail.h"

namespace ibot::data {

/// Frames first, …, first + count - 1 of the set; `size` in pixels. Objects are numbered from 1 on,
/// as many as the largest index of the first frame's annotation.
struct VideoSequence {
  std::string name;
  int64_t first = 0;
  int64_t count = 0;
  ImageSize size;
  int64_t objects = 0;
};

/// A frame and its mask have the same place in their lists.
struct DavisSet {
  std::vector<VideoSequence> sequences;
  FileList frames;
  FileList masks;
};

/// What a mask holds besides objects and background.
inline constexpr int64_t kVoid = 255;

/// The sequences that ROOT/ImageSets/YEAR/SPLIT.txt names: frames in
/// ROOT/JPEGImages/480p/NAME/*.jpg, sorted by name, masks of the same names in
/// ROOT/Annotations/480p/NAME/*.png. All masks are read, on `workers` threads.
///
/// Throws DataError where masks are missing, a frame or a mask has another size than the first
/// frame, the first mask has no object, or a later one has an object that the first has not.
/// Source: davis2017-evaluation.
DavisSet open_davis(const std::filesystem::path& root, const std::string& year,
                    const std::string& split, int64_t workers);

/// A frame in another size by OpenCV's bilinear interpolation, without antialiasing: [3, H, W],
/// uint8. Throws DataError when it does not decode.
torch::Tensor read_frame(const DavisSet& set, int64_t frame, ImageSize size);

}  // namespace ibot::data
