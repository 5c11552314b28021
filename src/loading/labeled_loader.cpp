#include "ibot/loading/labeled_loader.h"

#include <algorithm>
#include <numeric>

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

  std::optional<batch::LabeledBatch> next() { return batch_of(loader_->next()); }

 private:
  using Loader = EpochLoader<int64_t, batch::LabeledBatch>;

  std::optional<EpochWalk<int64_t>::Batch> deal() {
    std::vector<int64_t> samples(std::min(options_.batch_size, end_ - dealt_));
    if (samples.empty()) return std::nullopt;
    std::iota(samples.begin(), samples.end(), dealt_);
    dealt_ += static_cast<int64_t>(samples.size());
    return EpochWalk<int64_t>::Batch{.items = std::move(samples)};
  }

  void fill(Loader::Draft& draft, int64_t i) const {
    const auto image = labeled_image(dataset_, draft.items[i], options_.decode, draft.batch, i);
    const int64_t least = options_.transform.resize_size > 0 ? 1 : options_.transform.crop_size;
    IBOT_CHECK_AS(DataError, image.height() >= least && image.width() >= least,
                  dataset_.path(draft.items[i]), ": expected at least ", least, " x ", least,
                  " pixels, got ", image.height(), " x ", image.width());
    eval_transform(image, options_.transform, image_view(draft.batch, i));
  }

  const Dataset& dataset_;
  const LabeledLoaderOptions options_;
  int64_t dealt_;
  int64_t end_;
  // Last, so that its threads end before what they use.
  std::optional<Loader> loader_;
};

LabeledLoader::LabeledLoader(const Dataset& dataset, const LabeledLoaderOptions& options)
    : impl_(std::make_unique<Impl>(dataset, options)) {}
LabeledLoader::~LabeledLoader() = default;
std::optional<batch::LabeledBatch> LabeledLoader::next() { return impl_->next(); }

}  // namespace ibot::data
