// Features of images with the images' names, in files that other programs read.
#pragma once

#include <torch/types.h>

#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ibot/base/enum_names.h"

namespace ibot {
namespace apps {

enum class EmbeddingFormat { kSafetensors, kNpy, kCsv };

/// Features and names of as many images.
///
///   features  [N, F]   float32
struct Embeddings {
  torch::Tensor features;
  std::vector<std::string> names;
  std::map<std::string, std::string> about;  // what they belong to
};

/// Throws RequestError where the names are more than a file of that format has room for.
void check_names(const std::vector<std::string>& names, EmbeddingFormat format);

/// Replaces the file.
///
///   safetensors  `features`; the metadata has `files`, a JSON list of names, and `about`
///   npy          the array alone; the names are in FILE.files.csv, in its order
///   csv          a row an image: file, f0, f1, ...; numbers that read back bit for bit
void write_embeddings(const std::filesystem::path& file, const Embeddings& embeddings,
                      EmbeddingFormat format);

}  // namespace apps

template <>
struct EnumNames<apps::EmbeddingFormat> {
  static constexpr std::array<std::pair<apps::EmbeddingFormat, std::string_view>, 3> values{
      {{apps::EmbeddingFormat::kSafetensors, "safetensors"},
       {apps::EmbeddingFormat::kNpy, "npy"},
       {apps::EmbeddingFormat::kCsv, "csv"}}};
};

}  // namespace ibot
