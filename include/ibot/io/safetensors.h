// Reading and writing safetensors files.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "ibot/io/file.h"

namespace ibot::io {

/// The content of a file: tensors by name, and free text by key.
struct Safetensors {
  std::map<std::string, torch::Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Reads a file into host tensors: those whose name begins with `prefix`, and the metadata.
///
/// Every rule of the format is checked before memory is taken: header length within the file and
/// 100 MB, unique names, known dtypes, shape times dtype without overflow and equal to the extent,
/// extents contiguous without holes or overlap and covering the buffer.
///
/// Throws CheckpointError naming the file and the rule.
/// Source: the safetensors format, https://github.com/huggingface/safetensors
Safetensors read_safetensors(const std::filesystem::path& path, std::string_view prefix = {});

/// The same without reading the tensors: they show the file's pages, which all processes of a
/// machine share and which are read when they are looked at. They must not be written to. Throws as
/// read_safetensors, and where a tensor is not aligned, as write_safetensors always has them.
Safetensors map_safetensors(const std::filesystem::path& path);

/// Only the header's metadata of a file, checked likewise.
std::map<std::string, std::string> read_safetensors_metadata(const std::filesystem::path& path);

/// Writes beside `path`, syncs, renames: after a crash the file is the old one or the new one.
/// Tensors may live on any device and need not be contiguous; equal content gives equal bytes.
/// Returns the digest of what was written.
///
/// Throws Error when the disk is full or the folder not writable; the old file is then untouched.
FileDigest write_safetensors(const std::filesystem::path& path, const Safetensors& content);

}  // namespace ibot::io
