// Masks in NumPy's format.
#pragma once

#include <torch/types.h>

#include <filesystem>

namespace ibot::data {

/// The array of a `.npy` file: [H, W], bool or uint8 as stored, of which anything but 0 counts.
///
///   returns  [H, W] bool
///
/// Throws DataError, naming the file, where it is damaged or holds something else. Source: NEP 1.
torch::Tensor read_npy_mask(const std::filesystem::path& path);

}  // namespace ibot::data
