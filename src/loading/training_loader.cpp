#include "ibot/loading/training_loader.h"

#include <algorithm>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/base/rng.h"
#include "ibot/image/training_transform.h"
#include "loading/epoch_loader.h"
#include "loading/labeled_batches.h"

namespace ibot::data {
namespace {

using Order = decltype(&epoch_order);

/// Deals the appearances of each update to its batches in turn.
void deal(std::vector<Appearance>& order, int64_t batches, int64_t batch_size) {
  const auto size = static_cast<size_t>(batches * batch_size);
  for (auto update = order.begin(); order.end() - update >= batches * batch_size; update += size) {
    const std::vector<Appearance> drawn(update, update + size);
    for (size_t i = 0; i < size; ++i) {
      // As a sampler deals them to as many ranks: repeats of an image fall into different batches.
      update[(i % batches) * batch_size + i / batches] = drawn[i];
    }
  }
}

std::vector<Appearance> order_of_epoch(int64_t dataset_size, const TrainingLoaderOptions& options,
                                       Order once, int64_t epoch) {
  std::vector<Appearance> order;
  if (options.repeats > 1) {
    order = repeated_order(dataset_size, options.repeats, options.seed, epoch, options.share);
  } else {
    for (const int64_t sample : once(dataset_size, options.seed, epoch, options.share)) {
      order.push_back({sample, 0});
    }
  }
  deal(order, options.batches_per_update, options.batch_size);
  return order;
}

}  // namespace

int64_t training_steps_per_epoch(int64_t dataset_size, const TrainingLoaderOptions& options) {
  IBOT_CHECK(options.batch_size > 0 && options.share.world > 0,
             "training loader: expected a batch size and a world above 0");
  // As many for every epoch, rank and order.
  const auto samples =
      static_cast<int64_t>(order_of_epoch(dataset_size, options, epoch_order, 0).size());
  const int64_t rounding = options.drop_last ? 0 : options.batch_size - 1;
  const int64_t steps = (samples + rounding) / options.batch_size;
  IBOT_CHECK_AS(DataError, steps > 0, "batch_size: expected at most the ", samples, " images of ",
                options.share.world == 1 ? "the training set" : "each rank", ", got ",
                options.batch_size, "; choose a smaller batch_size");
  return options.max_steps_per_epoch > 0 ? std::min(steps, options.max_steps_per_epoch) : steps;
}

class TrainingLoader::Impl {
 public:
  Impl(const Dataset& dataset, const TrainingLoaderOptions& options)
      : dataset_(dataset),
        options_(options),
        steps_(training_steps_per_epoch(dataset.size(), options)),
        walk_({.batch_size = options.batch_size,
               .steps_per_epoch = steps_,
               .first_epoch = options.first_epoch,
               .first_step = options.first_step,
               .num_epochs = options.num_epochs,
               .order_of = [this](int64_t epoch) {
                 return order_of_epoch(dataset_.size(), options_,
                                       dataset_.is_stream() ? stream_order : epoch_order, epoch);
               }}) {
    options.transform.validate();
    loader_.emplace(
        Loader::Work{.deal = [this] { return walk_.next(); },
                     .make =
                         [this](int64_t count) {
                           return empty_labeled_batch(count, options_.transform.size,
                                                      options_.pin_memory);
                         },
                     .fill = [this](Loader::Draft& draft, int64_t i) { fill(draft, i); }},
        options.workers, options.prefetch_batches);
  }

  std::optional<batch::LabeledBatch> next() { return batch_of(loader_->next()); }
  int64_t steps_per_epoch() const { return steps_; }
  double waited_s() const { return loader_->waited_s(); }

 private:
  using Loader = EpochLoader<Appearance, batch::LabeledBatch>;

  void fill(Loader::Draft& draft, int64_t i) const {
    const auto [sample, repetition] = draft.items[i];
    Rng rng(options_.seed, static_cast<uint64_t>(draft.epoch), static_cast<uint64_t>(sample),
            kCrop + static_cast<uint32_t>(repetition));
    training_transform(labeled_image(dataset_, sample, options_.decode, draft.batch, i),
                       options_.transform, rng, image_view(draft.batch, i));
  }

  const Dataset& dataset_;
  const TrainingLoaderOptions options_;
  const int64_t steps_;
  EpochWalk<Appearance> walk_;
  // Last, so that its threads end before what they use.
  std::optional<Loader> loader_;
};

TrainingLoader::TrainingLoader(const Dataset& dataset, const TrainingLoaderOptions& options)
    : impl_(std::make_unique<Impl>(dataset, options)) {}
TrainingLoader::~TrainingLoader() = default;
std::optional<batch::LabeledBatch> TrainingLoader::next() { return impl_->next(); }
int64_t TrainingLoader::steps_per_epoch() const { return impl_->steps_per_epoch(); }
double TrainingLoader::waited_s() const { return impl_->waited_s(); }

}  // namespace ibot::data
