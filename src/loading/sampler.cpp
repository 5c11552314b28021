#include "ibot/loading/sampler.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randperm.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <span>

#include "ibot/base/error.h"
#include "ibot/base/rng.h"

namespace ibot::data {
namespace {

// As in timm's RepeatAugSampler.
constexpr int64_t kRepeatRounding = 256;

// Runs long enough that reading outweighs seeking; 512 of them mix 65 536 samples.
constexpr int64_t kRunLength = 128;
constexpr int64_t kRunsMerged = 512;

int64_t samples_per_rank(int64_t dataset_size, Share share) {
  return share.count > 0 ? share.count : (dataset_size + share.world - 1) / share.world;
}

void check_share(const char* what, int64_t dataset_size, Share share) {
  IBOT_CHECK(dataset_size > 0 && share.rank >= 0 && share.rank < share.world, what,
             ": expected samples and a rank in [0, ", share.world, "), got ", dataset_size,
             " samples and rank ", share.rank);
}

/// Every W-th element of the global order, padded by its beginning.
template <class Sample>
std::vector<int64_t> share_of(const Sample* whole, int64_t dataset_size, Share share) {
  std::vector<int64_t> order(samples_per_rank(dataset_size, share));
  for (size_t i = 0; i < order.size(); ++i) {
    // DistributedSampler: rank r takes places r, r + W, …; padding repeats the beginning.
    order[i] = whole[(share.rank + static_cast<int64_t>(i) * share.world) % dataset_size];
  }
  return order;
}

template <class Value>
void shuffle_(std::vector<Value>& values, Rng& rng) {
  for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[rng.index(i)]);
}

/// Calls `put` with the samples of `runs` in a random interleaving.
void merge_runs(std::span<const int64_t> runs, int64_t dataset_size, Rng& rng,
                const std::function<void(int64_t)>& put) {
  struct Reader {
    int64_t first;
    int64_t length;
    int64_t next;
  };
  std::vector<Reader> readers;
  std::vector<uint16_t> turns;
  for (const int64_t run : runs) {
    const int64_t length = std::min(kRunLength, dataset_size - run * kRunLength);
    turns.insert(turns.end(), length, static_cast<uint16_t>(readers.size()));
    // Random starts: otherwise samples at the beginning of runs would always be merged with each
    // other.
    readers.push_back({run * kRunLength, length, static_cast<int64_t>(rng.index(length))});
  }
  shuffle_(turns, rng);
  for (const uint16_t turn : turns) {
    auto& reader = readers[turn];
    put(reader.first + reader.next);
    reader.next = (reader.next + 1) % reader.length;
  }
}

}  // namespace

std::vector<int64_t> epoch_order(int64_t dataset_size, uint64_t seed, int64_t epoch, Share share) {
  check_share("epoch_order", dataset_size, share);
  // torch's sampler seeds with seed + epoch: with the reference's seed 0, by the epoch alone.
  const auto generator = at::detail::createCPUGenerator(seed + static_cast<uint64_t>(epoch));
  // randperm draws the same permutation for both types; int32 takes half the memory.
  if (dataset_size <= std::numeric_limits<int32_t>::max()) {
    const auto permutation = at::randperm(dataset_size, generator, at::kInt);
    return share_of(permutation.const_data_ptr<int32_t>(), dataset_size, share);
  }
  const auto permutation = at::randperm(dataset_size, generator, at::kLong);
  return share_of(permutation.const_data_ptr<int64_t>(), dataset_size, share);
}

std::vector<int64_t> stream_order(int64_t dataset_size, uint64_t seed, int64_t epoch, Share share) {
  check_share("stream_order", dataset_size, share);
  Rng rng(seed, static_cast<uint64_t>(epoch), 0, kOrder);
  std::vector<int64_t> runs((dataset_size + kRunLength - 1) / kRunLength);
  std::iota(runs.begin(), runs.end(), 0);
  shuffle_(runs, rng);
  std::vector<int64_t> order(samples_per_rank(dataset_size, share));
  const int64_t places = static_cast<int64_t>(order.size()) * share.world;
  int64_t place = 0;
  // The global order is never held in memory; padding repeats its beginning.
  const auto put = [&](int64_t sample) {
    for (int64_t at = place++; at < places; at += dataset_size) {
      if (at % share.world == share.rank) order[at / share.world] = sample;
    }
  };
  for (size_t begin = 0; begin < runs.size(); begin += kRunsMerged) {
    const auto count = std::min<size_t>(kRunsMerged, runs.size() - begin);
    merge_runs({runs.data() + begin, count}, dataset_size, rng, put);
  }
  return order;
}

std::vector<Appearance> repeated_order(int64_t dataset_size, int64_t repeats, uint64_t seed,
                                       int64_t epoch, Share share) {
  IBOT_CHECK(repeats > 0 && share.rank >= 0 && share.rank < share.world,
             "repeated_order: expected repeats above 0 and a rank in [0, ", share.world, "), got ",
             repeats, " and rank ", share.rank);
  const auto samples = epoch_order(dataset_size, seed, epoch, {0, 1});
  // An epoch has as many images as the data set, rounded down: repeats replace images.
  const int64_t rounded = dataset_size < kRepeatRounding
                              ? dataset_size
                              : dataset_size / kRepeatRounding * kRepeatRounding;
  std::vector<Appearance> order(rounded / share.world);
  for (size_t i = 0; i < order.size(); ++i) {
    const int64_t place =
        (share.rank + static_cast<int64_t>(i) * share.world) % (repeats * dataset_size);
    // Each sample `repeats` times in a row, which the ranks share.
    order[i] = {samples[place / repeats], place % repeats};
  }
  return order;
}

int64_t steps_per_epoch(int64_t dataset_size, int64_t batch_size, int64_t world) {
  IBOT_CHECK(batch_size > 0 && world > 0,
             "steps_per_epoch: expected a batch size and a world above 0");
  const int64_t samples = samples_per_rank(dataset_size, {0, world});
  // An incomplete last batch is dropped.
  const int64_t steps = samples / batch_size;
  IBOT_CHECK_AS(DataError, steps > 0, "train.batch_size: expected at most the ", samples,
                " images of ", world == 1 ? "the data set" : "each rank", ", got ", batch_size,
                "; choose a smaller train.batch_size");
  return steps;
}

}  // namespace ibot::data
