#include "ibot/loading/labeled_loader.h"

#include <algorithm>

#include "ibot/base/error.h"
#include "ibot/codec/decode.h"
#include "loading/batch_pipeline.h"
#include "loading/labeled_batches.h"

namespace ibot::data {

class LabeledLoader::Impl {
 public:
  Impl(const Dataset& dataset, const LabeledLoaderOptions& options)
      : dataset_(dataset),
        options_(options),
        opened_(options.begin),
        end_(options.end < 0 ? dataset.size() : options.end) {
    IBOT_CHECK(options.batch_size > 0 && options.workers > 0 && options.prefetch_batches > 0,
               "labeled loader: expected batch_size, workers and prefetch_batches above 0");
    IBOT_CHECK(0 <= opened_ && opened_ <= end_ && end_ <= dataset.size(),
               "labeled loader: expected samples within [0, ", dataset.size(), "], got ", opened_,
               " to ", end_);
    pipeline_.emplace(
        BatchPipeline<batch::LabeledBatch>::Work{
            .open = [this] { return open(); },
            .tasks = [](const batch::LabeledBatch& batch) { return batch.image.size(0); },
            .fill = [this](batch::LabeledBatch& batch, int64_t i) { fill(batch, i); }},
        options.workers, options.prefetch_batches);
  }

  std::optional<batch::LabeledBatch> next() { return pipeline_->next(); }

 private:
  std::optional<batch::LabeledBatch> open() {
    const int64_t count = std::min(options_.batch_size, end_ - opened_);
    if (count == 0) return std::nullopt;
    auto batch = empty_labeled_batch(count, options_.transform.crop_size, options_.pin_memory);
    for (int64_t i = 0; i < count; ++i) {
      batch.sample_id.mutable_data_ptr<int64_t>()[i] = opened_++;
    }
    return batch;
  }

  void fill(batch::LabeledBatch& batch, int64_t i) const {
    const int64_t sample = batch.sample_id.const_data_ptr<int64_t>()[i];
    const Image image = decode(dataset_.read(sample), dataset_.path(sample), options_.decode);
    eval_transform(image, options_.transform, image_view(batch, i));
    batch.label.mutable_data_ptr<int64_t>()[i] = dataset_.label(sample);
  }

  const Dataset& dataset_;
  const LabeledLoaderOptions options_;
  int64_t opened_;
  int64_t end_;
  // Last, so that its threads end before what they use.
  std::optional<BatchPipeline<batch::LabeledBatch>> pipeline_;
};

LabeledLoader::LabeledLoader(const Dataset& dataset, const LabeledLoaderOptions& options)
    : impl_(std::make_unique<Impl>(dataset, options)) {}
LabeledLoader::~LabeledLoader() = default;
std::optional<batch::LabeledBatch> LabeledLoader::next() { return impl_->next(); }

}  // namespace ibot::data
