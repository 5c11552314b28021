// Reading and writing PyTorch's .pth files.
#pragma once

#include <filesystem>

#include "ibot/io/torch_value.h"

namespace ibot::io {

enum class TorchFormat { kZip, kLegacy };

struct TorchFile {
  TorchFormat format = TorchFormat::kZip;
  Value root;
};

/// Whether the file begins as a .pth of either format does. Throws Error where it cannot be read.
bool is_torch_file(const std::filesystem::path& path);

/// Reads a file of `torch.save`, a zip archive or the stream of PyTorch before 1.6, into host
/// tensors, whatever the device they were saved from. Tensors of one storage share it here too.
///
/// Nothing in the file is executed: of Python's objects tensors, parameters, dicts and classes that
/// hold entries as one, lists, tuples, numbers, NumPy's numbers, text, torch.Size, dtypes and
/// argparse.Namespace (as a dict of that type) are read; any other is an Opaque value. Sparse and
/// quantised tensors are such. No memory is taken for more than the file holds: sizes are checked
/// against it before, compressed entries are refused.
///
/// Throws CheckpointError: file, what, where; a file of another format is told by its name.
TorchFile read_torch_file(const std::filesystem::path& path);

/// Writes a zip archive that `torch.load(path, weights_only=True)` reads, as write_file does.
/// Tensors that share storage here share it there; a Namespace is written as a dict.
///
/// Throws Error when the disk is full or the folder not writable; the old file is then untouched.
void write_torch_file(const std::filesystem::path& path, const Value& root);

}  // namespace ibot::io
