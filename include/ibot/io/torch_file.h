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

/// Whether the file begins like a .pth of either format. Throws Error if it cannot be read.
bool is_torch_file(const std::filesystem::path& path);

/// Reads a file of `torch.save`, a zip archive or the stream format of PyTorch before 1.6, into
/// host tensors, whatever device they were saved from. Tensors that share a storage share it here
/// too.
///
/// Nothing in the file is executed. Python objects that are read: tensors, parameters, dicts and
/// classes that hold entries like one, lists, tuples, numbers, NumPy scalars and arrays, strings,
/// torch.Size, dtypes and argparse.Namespace (as a dict of that type); any other becomes an Opaque
/// value, sparse and quantized tensors included. No more memory is allocated than the file can
/// fill: sizes are checked against it first, and compressed entries are refused.
///
/// Throws CheckpointError with file, cause and position; for other file formats it names the
/// format.
TorchFile read_torch_file(const std::filesystem::path& path);

/// Writes a zip archive that `torch.load(path, weights_only=True)` reads, as write_file does.
/// Tensors that share a storage share it in the file; a Namespace is written as a dict.
///
/// Throws Error if the disk is full or the folder not writable; the old file is then unchanged.
void write_torch_file(const std::filesystem::path& path, const Value& root);

}  // namespace ibot::io
