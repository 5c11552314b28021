// Index of the samples in a set of tar shards.
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
  /// XXH3 of the whole file; empty if the shards were found, not packed.
  std::string hash;
  /// Modification time in nanoseconds since 1970; 0 for packed shards, whose copies are equivalent.
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

/// Samples in the order of shards and of offsets within them. 24 bytes per sample matter for 14
/// million of them, so the tensors may be views of a memory-mapped file.
///
///   offset  [N]  int64   of the image within its shard, in bytes
///   size    [N]  int32   in bytes; -1: a damaged stretch of the shard
///   label   [N]  int32   -1, only in found shards: no label, or an unusable one, with the reason
///                        in the name
///   hash    [N]  int64   XXH3 of the bytes; undefined in found shards
///   names        of the images within their shards
struct ShardIndex {
  std::vector<IndexedShard> shards;
  std::vector<std::string> class_names;
  torch::Tensor offset;
  torch::Tensor size;
  torch::Tensor label;
  torch::Tensor hash;
  NameTable names;
  /// What the index was made from, as a text to compare.
  std::string origin;
  /// Remarks for the user; see Dataset::notes.
  std::vector<std::string> notes;

  int64_t samples() const { return names.size(); }
  ShardSample sample(int64_t i) const;
};

/// The index restricted to the shards with these indices, in that order.
ShardIndex select_shards(const ShardIndex& index, const std::vector<int64_t>& shards);

/// Collects samples shard by shard.
class ShardIndexBuilder {
 public:
  void add(const ShardSample& sample);
  /// Assigns all samples added since the previous call to `shard`.
  void end_shard(IndexedShard shard);
  /// Appends samples and shards of another index.
  void append(const ShardIndex& other);
  int64_t samples() const { return static_cast<int64_t>(offset_.size()); }
  /// The index of everything added; the builder is then empty. Without hashes unless `hashed`.
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

/// Throws Error if it cannot be written.
void write_index(const std::filesystem::path& file, const ShardIndex& index);

/// Maps the file. Throws DataError if it is missing, damaged, inconsistent or of another version.
ShardIndex read_index(const std::filesystem::path& file);

}  // namespace ibot::data
