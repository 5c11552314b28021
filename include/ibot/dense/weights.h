// Files of trained segmentors and detectors.
#pragma once

#include <torch/nn/module.h>

#include <filesystem>
#include <map>
#include <string>

namespace ibot::dense {

/// A whole network under the names of mmsegmentation or mmdetection, which are ours too.
///
///   config  of the run that wrote the file, as YAML; empty: not known
struct NetworkFile {
  std::string source;
  std::map<std::string, torch::Tensor> tensors;
  std::string config;
};

/// Reads a .safetensors, or a .pth with the tensors under `state_dict` or alone; `module.` before
/// names is removed. Throws CheckpointError where the file is refused or holds no tensor.
NetworkFile read_network(const std::filesystem::path& path);

/// Writes a .safetensors, or where the name ends in .pth a dict with `meta` and `state_dict` that
/// the official programs read. Throws Error where it cannot be written.
void write_network(const std::filesystem::path& path, const NetworkFile& file);

/// Parameters and buffers of `network` as such a file.
NetworkFile network_file(const torch::nn::Module& network, const std::string& config);

/// Takes all of them over. Throws CheckpointError, before anything is changed, on missing or
/// unknown names and other shapes; tensors that are computed from the options are passed over.
void load_network_(torch::nn::Module& network, const NetworkFile& file);

}  // namespace ibot::dense
