// Which sample comes when.
#pragma once

#include <cstdint>
#include <vector>

namespace ibot::data {

/// A rank's part of the whole training order.
///
///   count   samples of each rank; 0: as many as give every sample a place
struct Share {
  int64_t rank = 0;
  int64_t world = 1;
  int64_t count = 0;
};

/// The samples of `share.rank` in one epoch, in order: a permutation drawn from `seed + epoch`,
/// padded by its own beginning to a multiple of the world size, of which rank r takes r, r + W, …;
/// padded further, or cut, where `share.count` says so.
///
/// Source: torch `DistributedSampler`.
std::vector<int64_t> epoch_order(int64_t dataset_size, uint64_t seed, int64_t epoch, Share share);

/// The same share of another order, for samples that lie one after the other and are a random mix
/// already (Dataset::is_stream). Runs of 128 neighbours come in an order drawn from (seed, epoch);
/// 512 runs at a time are merged at random, each read forward from a drawn place to its end and
/// then from its beginning. So 512 places are read in turn, each going forward through its file; a
/// sample comes within 65 536 places of those it lies beside, and anywhere in the epoch else.
///
///   returns [ceil(dataset_size / W)]
std::vector<int64_t> stream_order(int64_t dataset_size, uint64_t seed, int64_t epoch, Share share);

/// One of several appearances of a sample in an epoch.
struct Appearance {
  int64_t sample = 0;
  int64_t repetition = 0;
};

/// The same where each sample of the permutation comes `repeats` times in a row and the list is
/// then shared out among ranks, so that one epoch is as long as without repeats and shows a share
/// 1 / repeats of the samples. Its length per rank is that of N rounded down to a multiple of 256,
/// over W; of N itself below 256 samples, where the reference would have an empty epoch.
///
/// Source: Hoffer et al. 2020; timm `RepeatAugSampler`.
std::vector<Appearance> repeated_order(int64_t dataset_size, int64_t repeats, uint64_t seed,
                                       int64_t epoch, Share share);

/// Whole batches that each rank takes from one epoch; an incomplete last batch is dropped. Throws
/// DataError when there is none.
int64_t steps_per_epoch(int64_t dataset_size, int64_t batch_size, int64_t world);

}  // namespace ibot::data
