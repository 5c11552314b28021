#include "ibot/loading/picture_loader.h"

#include <algorithm>

#include "ibot/base/error.h"
#include "ibot/codec/decode.h"
#include "loading/batch_pipeline.h"

namespace ibot::data {

class PictureLoader::Impl {
 public:
  Impl(const Dataset& dataset, PictureLoaderOptions options)
      : dataset_(dataset), options_(std::move(options)), opened_(options_.begin) {
    IBOT_CHECK(options_.batch_size > 0 && options_.workers > 0 && options_.prefetch_batches > 0,
               "picture loader: expected batch_size, workers and prefetch_batches above 0");
    IBOT_CHECK(0 <= opened_ && opened_ <= options_.end && options_.end <= dataset.size(),
               "picture loader: expected samples within [0, ", dataset.size(), "], got ", opened_,
               " to ", options_.end);
    pipeline_.emplace(
        BatchPipeline<Batch>::Work{
            .open = [this] { return open(); },
            .tasks = [](const Batch& batch) { return static_cast<int64_t>(batch.images.size()); },
            .fill = [this](Batch& batch, int64_t i) { batch.images[i] = image(batch.first + i); }},
        options_.workers, options_.prefetch_batches);
  }

  std::optional<std::vector<torch::Tensor>> next() {
    auto batch = pipeline_->next();
    if (!batch) return std::nullopt;
    return std::move(batch->images);
  }

 private:
  struct Batch {
    int64_t first = 0;
    std::vector<torch::Tensor> images;
  };

  std::optional<Batch> open() {
    const int64_t count = std::min(options_.batch_size, options_.end - opened_);
    if (count == 0) return std::nullopt;
    Batch batch{opened_, std::vector<torch::Tensor>(count)};
    opened_ += count;
    return batch;
  }

  torch::Tensor image(int64_t sample) const {
    const auto bytes = dataset_.read(sample);
    const auto name = dataset_.path(sample);
    // Pictures keep their own sizes: a batch is a list, not one tensor.
    return options_.framing(options_.accepts_truncated
                                ? decode_truncated(bytes, name, options_.decode)
                                : decode(bytes, name, options_.decode),
                            sample);
  }

  const Dataset& dataset_;
  const PictureLoaderOptions options_;
  int64_t opened_;
  // Last, so that its threads end before what they use.
  std::optional<BatchPipeline<Batch>> pipeline_;
};

PictureLoader::PictureLoader(const Dataset& dataset, PictureLoaderOptions options)
    : impl_(std::make_unique<Impl>(dataset, std::move(options))) {}
PictureLoader::~PictureLoader() = default;
std::optional<std::vector<torch::Tensor>> PictureLoader::next() { return impl_->next(); }

}  // namespace ibot::data
