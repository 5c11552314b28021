// The order of samples within an epoch.
#pragma once

#include <cstdint>
#include <vector>

namespace ibot::data {

/// A rank's share of the global order.
///
///   count   samples per rank; 0: enough to include every sample
struct Share {
  int64_t rank = 0;
  int64_t world = 1;
  int64_t count = 0;
};

/// The samples of `share.rank` in one epoch, in order: rank r takes elements r, r + W, … of a
/// permutation drawn from `seed + epoch`, padded by its own beginning to a multiple of the world
/// size W; padded further, or truncated, to `share.count` if given.
///
/// Source: torch `DistributedSampler`.
std::vector<int64_t> epoch_order(int64_t dataset_size, uint64_t seed, int64_t epoch, Share share);

/// The same share of another order, for samples that are stored consecutively and already shuffled
/// (Dataset::is_stream). Runs of 128 neighbors are ordered by (seed, epoch); 512 runs at a time are
/// merged at random, each read forward from a random position to its end and then from its
/// beginning. So the disk is read at 512 places in turn, each moving forward. Neighbors on disk end
/// up at most 65 536 positions apart; apart from that a sample can appear anywhere in the epoch.
///
///   returns [ceil(dataset_size / W)]
std::vector<int64_t> stream_order(int64_t dataset_size, uint64_t seed, int64_t epoch, Share share);

/// One of several occurrences of a sample in an epoch (repeated augmentation).
struct Appearance {
  int64_t sample = 0;
  int64_t repetition = 0;
};

/// epoch_order() with repeated augmentation: every sample of the permutation is repeated `repeats`
/// times in a row before the list is distributed over ranks. An epoch is as long as without
/// repeats, so it contains 1 / repeats of the samples. The length per rank is N rounded down to a
/// multiple of 256, divided by W; below 256 samples N is not rounded, where the reference has an
/// empty epoch.
///
/// Source: Hoffer et al. 2020; timm `RepeatAugSampler`.
std::vector<Appearance> repeated_order(int64_t dataset_size, int64_t repeats, uint64_t seed,
                                       int64_t epoch, Share share);

/// Number of whole batches per rank and epoch; an incomplete last batch is dropped. Throws
/// DataError if there is none.
int64_t steps_per_epoch(int64_t dataset_size, int64_t batch_size, int64_t world);

}  // namespace ibot::data
