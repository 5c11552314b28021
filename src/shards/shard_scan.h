// The samples of one shard that came without an index.
#pragma once

#include <string>
#include <vector>

#include "data/left_out.h"
#include "shards/shard_index.h"

namespace ibot::data {

/// Every number below the largest label is a class with a name.
inline constexpr int64_t kMaxClasses = 10'000'000;

/// Labels of found samples that are no number: none; one that cannot be read, for a reason that
/// stands in the sample's name; and from kFirstWord downwards the words that a shard found.
inline constexpr int64_t kNoLabel = -1;
inline constexpr int64_t kBadLabel = -2;
inline constexpr int64_t kFirstWord = -3;

/// Appends the reason to the sample's name.
void note_fault_(ShardSample& sample, const std::string& reason);

/// What a shard holds besides the images that are read.
struct BesideImages {
  LeftOut hidden;
  /// Images of samples that have another, by their ending.
  Tally other_images;
  /// Members of samples without an image, or of no sample.
  Tally strays;
  int64_t repeated_keys = 0;
  int64_t links = 0;

  void add(const BesideImages& other);
};

struct FoundShard {
  /// Samples with an image whose ending is one word, and damaged stretches of the shard.
  ShardIndex plain;
  /// Images of the samples that have none such, each with its ending.
  ShardIndex dotted;
  std::vector<std::string> dotted_endings;
  /// The label kFirstWord - i is words[i].
  std::vector<std::string> words;
  BesideImages beside;
};

/// Throws DataError when the file cannot be read, or is no archive, saying what it is.
FoundShard scan_shard(const IndexedShard& shard);

}  // namespace ibot::data
