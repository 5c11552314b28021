// Reading plain pickles.
#pragma once

#include <filesystem>

#include "ibot/io/torch_value.h"

namespace ibot::io {

/// Reads a file of `pickle.dump`, of any protocol and of Python 2 or 3, as read_torch_file reads
/// what torch.save pickles: nothing in it is executed. NumPy arrays of numbers are tensors.
///
/// Throws CheckpointError: file, what, where.
Value read_pickle_file(const std::filesystem::path& path);

}  // namespace ibot::io
