// Where each sample lies in a set of tar shards.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ibot/data/name_table.h"

namespace ibot::data {

struct IndexedShard {
  /// Relative to the index's folder, or absolute.
  std::string name;
  int64_t samples = 0;
  int64_t bytes = 0;
  /// XXH3 of the whole file; empty where the shards were found, not packed.
  std::string hash;
  /// Of the file, in nanoseconds since 1970; 0 where they were packed, since copies are as good.
  int64_t modified_ns = 0;
};

/// One row of the tables below.
struct ShardSample {
  std::string name;
  int64_t offset = 0;
  int64_t size = 0;
  int64_t label = 0;
  uint64_t hash = 0;
};

/// Samples in the order of the shards and of their places within. In 14 million samples 24 bytes
/// each add up: the tensors may lie in a file that is mapped.
///
///   offset  [N]  int64   of the image's first byte within its shard
///   size    [N]  int32   bytes; -1: a stretch of the shard that is damaged
///   label   [N]  int32; -1, where the shards were found, not packed: no label, or one that cannot
///                be read, for the reason in the name
///   hash    [N]  int64   XXH3 of the bytes, or undefined where the shards were found, not packed
///   names        of the images within their shards
struct ShardIndex {
  std::vector<IndexedShard> shards;
  std::vector<std::string> class_names;
  torch::Tensor offset;
  torch::Tensor size;
  torch::Tensor label;
  torch::Tensor hash;
  NameTable names;
  /// What it was made from, in the maker's words.
  std::string origin;
  /// What the user should know of what was found; see Dataset::notes.
  std::vector<std::string> notes;

  int64_t samples() const { return names.size(); }
  ShardSample sample(int64_t i) const;
};

/// The part of an index that is `shards`, by their numbers, in that order.
ShardIndex select_shards(const ShardIndex& index, const std::vector<int64_t>& shards);

/// Collects samples shard by shard.
class ShardIndexBuilder {
 public:
  void add(const ShardSample& sample);
  /// All samples added since the last one are its.
  void end_shard(IndexedShard shard);
  /// Samples and shards of another index, after those here.
  void append(const ShardIndex& other);
  int64_t samples() const { return static_cast<int64_t>(offset_.size()); }
  /// Everything added; the builder is then empty. Without hashes where `hashed` is false.
  ShardIndex build(bool hashed);

 private:
  std::vector<IndexedShard> shards_;
  int64_t indexed_ = 0;
  std::vector<int64_t> offset_;
  std::vector<int32_t> size_;
  std::vector<int32_t> label_;
  std::vector<int64_t> hash_;
  NameTableBuilder names_;
};

/// Throws Error when it cannot be written.
void write_index(const std::filesystem::path& file, const ShardIndex& index);

/// Maps the file. Throws DataError when it is missing, damaged, inconsistent or of another version.
ShardIndex read_index(const std::filesystem::path& file);

}  // namespace ibot::data
