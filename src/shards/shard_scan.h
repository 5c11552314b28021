// The samples of one shard without an index.
#pragma once

#include <string>
#include <vector>

#include "data/left_out.h"
#include "shards/shard_index.h"

namespace ibot::data {

/// Limit for numeric labels: every number up to the largest label becomes a class.
inline constexpr int64_t kMaxClasses = 10'000'000;

/// Labels of found samples other than numbers: none; unusable, with the reason in the sample's
/// name; and, from kFirstWord downward, indices of the shard's words.
inline constexpr int64_t kNoLabel = -1;
inline constexpr int64_t kBadLabel = -2;
inline constexpr int64_t kFirstWord = -3;

/// Appends the reason to the sample's name.
void note_fault_(ShardSample& sample, const std::string& reason);

/// Members of a shard other than the images that are read.
struct BesideImages {
  LeftOut hidden;
  /// Further images of samples, by their ending.
  Tally other_images;
  /// Members of samples without an image, or without a key.
  Tally strays;
  int64_t repeated_keys = 0;
  int64_t links = 0;

  void add(const BesideImages& other);
};

struct FoundShard {
  /// Samples with an image whose ending has no further dot, and damaged stretches of the shard.
  ShardIndex plain;
  /// Images of samples without such an image, and their endings.
  ShardIndex dotted;
  std::vector<std::string> dotted_endings;
  /// The label kFirstWord - i is words[i].
  std::vector<std::string> words;
  BesideImages beside;
};

/// Throws DataError if the file cannot be read, or, naming its format, if it is not a tar archive.
FoundShard scan_shard(const IndexedShard& shard);

}  // namespace ibot::data
