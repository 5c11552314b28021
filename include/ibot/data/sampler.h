// Which sample comes when.
#pragma once

#include <cstdint>
#include <vector>

namespace ibot::data {

/// A rank's part of the whole training order.
struct Share {
  int64_t rank = 0;
  int64_t world = 1;
};

/// The samples of `share.rank` in one epoch, in order: a permutation drawn from `seed + epoch`,
/// padded by its own beginning to a multiple of the world size, of which rank r takes r, r + W, …
///
/// Source: torch `DistributedSampler`.
std::vector<int64_t> epoch_order(int64_t dataset_size, uint64_t seed, int64_t epoch, Share share);

/// Whole batches that each rank takes from one epoch; an incomplete last batch is dropped. Throws
/// DataError when there is none.
int64_t steps_per_epoch(int64_t dataset_size, int64_t batch_size, int64_t world);

}  // namespace ibot::data
