// What drawn image sets have in common.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

#include "ibot/base/rng.h"

namespace ibot::data {

/// A smooth field: normal draws on a coarse grid, interpolated. [size, size] float32.
cv::Mat smooth_field(int grid, int size, Rng& rng);

/// Gray clutter of mean 0 and standard deviation 1: shading at two scales and axis-aligned blocks.
/// [size, size] float32.
cv::Mat clutter(int size, Rng& rng);

/// Unit vector of a hue in RGB space, orthogonal to the gray axis: tints leave luminance unchanged.
std::array<double, 3> tint_direction(double turn);

/// A number of four digits or more: "0012".
std::string drawing_number(int64_t index);

/// Writes a file and the folders that it lies in. Throws Error where it cannot be written.
void write_drawing(const std::filesystem::path& path, const std::vector<uint8_t>& content);

/// Lets `write` fill a temporary folder that then becomes `root`, so that an interrupted set is
/// never taken for a complete one. Throws DataError if `root` is a file or a folder that is not
/// empty, Error if it cannot be written.
void write_whole_folder(const std::filesystem::path& root,
                        const std::function<void(const std::filesystem::path& partial)>& write);

}  // namespace ibot::data
