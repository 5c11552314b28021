#include "ibot/data/sampler.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randperm.h>

#include "ibot/base/error.h"

namespace ibot::data {
namespace {

constexpr int64_t kRepeatRounding = 256;

int64_t samples_per_rank(int64_t dataset_size, int64_t world) {
  return (dataset_size + world - 1) / world;
}

}  // namespace

std::vector<int64_t> epoch_order(int64_t dataset_size, uint64_t seed, int64_t epoch, Share share) {
  IBOT_CHECK(dataset_size > 0 && share.rank >= 0 && share.rank < share.world,
             "epoch_order: expected samples and a rank in [0, ", share.world, "), got ",
             dataset_size, " samples and rank ", share.rank);
  const auto generator = at::detail::createCPUGenerator(seed + static_cast<uint64_t>(epoch));
  const auto permutation = at::randperm(dataset_size, generator, at::kLong);
  const int64_t* sample = permutation.const_data_ptr<int64_t>();
  std::vector<int64_t> order(samples_per_rank(dataset_size, share.world));
  for (size_t i = 0; i < order.size(); ++i) {
    order[i] = sample[(share.rank + static_cast<int64_t>(i) * share.world) % dataset_size];
  }
  return order;
}

std::vector<Appearance> repeated_order(int64_t dataset_size, int64_t repeats, uint64_t seed,
                                       int64_t epoch, Share share) {
  IBOT_CHECK(repeats > 0 && share.rank >= 0 && share.rank < share.world,
             "repeated_order: expected repeats above 0 and a rank in [0, ", share.world, "), got ",
             repeats, " and rank ", share.rank);
  const auto samples = epoch_order(dataset_size, seed, epoch, {0, 1});
  const int64_t rounded = dataset_size < kRepeatRounding
                              ? dataset_size
                              : dataset_size / kRepeatRounding * kRepeatRounding;
  std::vector<Appearance> order(rounded / share.world);
  for (size_t i = 0; i < order.size(); ++i) {
    const int64_t place =
        (share.rank + static_cast<int64_t>(i) * share.world) % (repeats * dataset_size);
    order[i] = {samples[place / repeats], place % repeats};
  }
  return order;
}

int64_t steps_per_epoch(int64_t dataset_size, int64_t batch_size, int64_t world) {
  IBOT_CHECK(batch_size > 0 && world > 0,
             "steps_per_epoch: expected a batch size and a world above 0");
  const int64_t samples = samples_per_rank(dataset_size, world);
  const int64_t steps = samples / batch_size;
  IBOT_CHECK_AS(DataError, steps > 0, "train.batch_size: expected at most the ", samples,
                " images that each of ", world, " ranks has of ", dataset_size, ", got ",
                batch_size, "; choose a smaller train.batch_size");
  return steps;
}

}  // namespace ibot::data
