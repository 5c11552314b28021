#include "ibot/loading/labeled_loader.h"

#include <torch/utils.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <utility>

#include "data/reason.h"
#include "ibot/base/error.h"
#include "loading/epoch_loader.h"
#include "loading/labeled_batches.h"

namespace ibot::data {

class LabeledLoader::Impl {
 public:
  Impl(const Dataset& dataset, const LabeledLoaderOptions& options)
      : dataset_(dataset),
        options_(options),
        dealt_(options.begin),
        end_(options.end < 0 ? dataset.size() : options.end) {
    IBOT_CHECK(options.batch_size > 0, "labeled loader: expected batch_size above 0");
    IBOT_CHECK(0 <= dealt_ && dealt_ <= end_ && end_ <= dataset.size(),
               "labeled loader: expected samples within [0, ", dataset.size(), "], got ", dealt_,
               " to ", end_);
    loader_.emplace(
        Loader::Work{.deal = [this] { return deal(); },
                     .make =
                         [this](int64_t count) {
                           return empty_labeled_batch(count, options_.transform.crop_size,
                                                      options_.pin_memory);
                         },
                     .fill = [this](Loader::Draft& draft, int64_t i) { fill(draft, i); }},
        options.workers, options.prefetch_batches);
  }

  std::optional<batch::LabeledBatch> next() {
    // A batch none of whose images decodes is passed over.
    while (auto draft = loader_->next()) {
      auto batch = readable(*std::move(draft));
      if (batch.image.size(0) > 0) return batch;
    }
    return std::nullopt;
  }

 private:
  using Loader = EpochLoader<int64_t, batch::LabeledBatch>;

  std::optional<EpochWalk<int64_t>::Batch> deal() {
    std::vector<int64_t> samples(std::min(options_.batch_size, end_ - dealt_));
    if (samples.empty()) return std::nullopt;
    std::iota(samples.begin(), samples.end(), dealt_);
    dealt_ += static_cast<int64_t>(samples.size());
    return EpochWalk<int64_t>::Batch{.items = std::move(samples)};
  }

  void fill(Loader::Draft& draft, int64_t i) {
    try {
      fill_image(draft, i);
    } catch (const DataError& error) {
      // Threads only note it: next() tells, in the order of samples and on the caller's thread.
      if (!options_.on_unreadable) throw;
      const auto sample = draft.items[i];
      const std::lock_guard lock(mutex_);
      unreadable_[sample] = reason_of(error, dataset_.path(sample));
    }
  }

  void fill_image(Loader::Draft& draft, int64_t i) const {
    const auto image = labeled_image(dataset_, draft.items[i], options_.decode, draft.batch, i,
                                     options_.on_unreadable ? "" : kLeaveOut);
    // An image that is not resized has to hold the crop.
    const int64_t least = options_.transform.resize_size > 0 ? 1 : options_.transform.crop_size;
    IBOT_CHECK_AS(DataError, image.height() >= least && image.width() >= least,
                  dataset_.path(draft.items[i]), ": expected at least ", least, " x ", least,
                  " pixels, got ", image.height(), " x ", image.width());
    eval_transform(image, options_.transform, image_view(draft.batch, i));
  }

  /// The batch without the samples that do not decode.
  batch::LabeledBatch readable(Loader::Draft draft) {
    std::vector<int64_t> kept;
    for (size_t i = 0; i < draft.items.size(); ++i) {
      const auto reason = taken_reason(draft.items[i]);
      if (!reason) {
        kept.push_back(static_cast<int64_t>(i));
        continue;
      }
      options_.on_unreadable({draft.items[i], dataset_.path(draft.items[i]), *reason});
    }
    auto& batch = draft.batch;
    if (kept.size() == draft.items.size()) return std::move(batch);
    const auto places = torch::tensor(kept, torch::kLong);
    return {batch.image.index_select(0, places), batch.label.index_select(0, places),
            batch.sample_id.index_select(0, places)};
  }

  std::optional<std::string> taken_reason(int64_t sample) {
    const std::lock_guard lock(mutex_);
    auto found = unreadable_.extract(sample);
    return found.empty() ? std::nullopt : std::optional(std::move(found.mapped()));
  }

  const Dataset& dataset_;
  const LabeledLoaderOptions options_;
  int64_t dealt_;
  int64_t end_;
  std::mutex mutex_;
  std::map<int64_t, std::string> unreadable_;  // reasons by sample, until next() tells of them
  // Last, so that its threads end before what they use.
  std::optional<Loader> loader_;
};

LabeledLoader::LabeledLoader(const Dataset& dataset, const LabeledLoaderOptions& options)
    : impl_(std::make_unique<Impl>(dataset, options)) {}
LabeledLoader::~LabeledLoader() = default;
std::optional<batch::LabeledBatch> LabeledLoader::next() { return impl_->next(); }

}  // namespace ibot::data
