// A small image folder and its shards.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "data/folder_of_pictures.h"
#include "ibot/loading/pack.h"
#include "ibot/shards/shard_set.h"

namespace ibot::testing {

/// `count` JPEGs of 3 classes, some 1.5 KB each, packed six or so to a shard.
class PackedPictures {
 public:
  explicit PackedPictures(int count, const std::vector<int>& bad = {}) : pictures_(count, bad) {
    data::pack(pictures_.dataset(), path(), options());
  }

  static data::PackOptions options() { return {.shard_bytes = 24 << 10, .workers = 2}; }
  const data::ImageFolder& folder() const { return pictures_.dataset(); }
  std::filesystem::path path() const { return out_ / "out"; }
  std::filesystem::path shard(int number) const {
    return path() / ("shard-00000" + std::to_string(number) + ".tar");
  }
  data::ShardSet open() const { return data::ShardSet(path().string()); }

 private:
  FolderOfPictures pictures_;
  TemporaryFolder out_;
};

/// Class and bytes of every sample, sorted.
inline std::vector<std::pair<std::string, Bytes>> content_of(const data::Dataset& dataset) {
  std::vector<std::pair<std::string, Bytes>> content;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    content.emplace_back(dataset.class_names().at(dataset.label(i)), dataset.read(i));
  }
  std::sort(content.begin(), content.end());
  return content;
}

/// Changes one byte of a file.
inline void flip_byte(const std::filesystem::path& file, size_t position) {
  auto bytes = read_bytes(file);
  bytes.at(position) ^= 0x20;
  write_bytes(file, bytes);
}

}  // namespace ibot::testing
