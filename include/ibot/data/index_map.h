// Images whose values are numbers of objects or classes, and small pictures, as PNG files.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace ibot::data {

/// The stored values of a PNG of one channel, whatever colors a palette gives them: [H, W], uint8.
/// Throws DataError, naming the file, when it is damaged or has no such values.
torch::Tensor read_index_map(const std::string& path);

/// A palette PNG in the colors of PASCAL VOC and DAVIS.
///
///   map  [H, W]   uint8
std::vector<uint8_t> index_png(const torch::Tensor& map);

/// A PNG of red, green and blue.
///
///   image  [3, H, W]   uint8
std::vector<uint8_t> color_png(const torch::Tensor& image);

/// The colors of index_png: [256, 3], uint8.
torch::Tensor index_colors();

}  // namespace ibot::data
