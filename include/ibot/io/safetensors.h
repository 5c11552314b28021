// Reading and writing safetensors files.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "ibot/io/file.h"

namespace ibot::io {

/// The content of a file: tensors by name and string metadata by key.
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

/// The same over a memory map: the tensors alias the file's pages, which are read on first access
/// and shared by all processes of a machine. They must not be written to. Throws as
/// read_safetensors, and if a tensor is not aligned to its element size, as all those of
/// write_safetensors are.
Safetensors map_safetensors(const std::filesystem::path& path);

/// Only the metadata of the header; the header is checked likewise.
std::map<std::string, std::string> read_safetensors_metadata(const std::filesystem::path& path);

/// Writes as write_file does: after a crash the file is either the old one or the new one.
/// Tensors may be on any device and need not be contiguous; equal content gives equal bytes.
/// Returns the digest of what was written.
///
/// Throws Error if the disk is full or the folder not writable; the old file is then unchanged.
FileDigest write_safetensors(const std::filesystem::path& path, const Safetensors& content);

}  // namespace ibot::io
