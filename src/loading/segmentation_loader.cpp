#include "ibot/loading/segmentation_loader.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "ibot/base/error.h"
#include "ibot/base/rng.h"
#include "ibot/codec/decode.h"
#include "loading/epoch_loader.h"

namespace ibot::data {
namespace {

struct LabeledPixels {
  Image image;
  torch::Tensor label;  // [H, W], uint8
};

LabeledPixels read(const SegmentationSet& set, int64_t sample, const DecodeOptions& options) {
  LabeledPixels pixels{decode(set.images.read(sample), set.images.path(sample), as_opencv(options)),
                       set.label(sample)};
  const auto& [image, label] = pixels;
  IBOT_CHECK_AS(DataError, label.size(0) == image.height() && label.size(1) == image.width(),
                set.labels.path(sample), ": expected ", image.width(), " x ", image.height(),
                " pixels as its image has, got ", label.size(1), " x ", label.size(0));
  return pixels;
}

batch::SegmentationBatch empty_batch(int64_t count, int64_t side, bool pin) {
  const auto bytes = [&](at::IntArrayRef shape) {
    return at::empty(shape, at::TensorOptions(at::kByte).pinned_memory(pin));
  };
  return {bytes({count, 3, side, side}), bytes({count, side, side}),
          at::empty({count, 2}, at::kLong), at::empty({count}, at::kLong)};
}

}  // namespace

class SegmentationLoader::Impl {
 public:
  Impl(const SegmentationSet& set, const SegmentationLoaderOptions& options)
      : set_(set),
        options_(options),
        walk_({.batch_size = options.batch_size,
               .steps_per_epoch = options.steps_per_epoch,
               .first_epoch = options.first_epoch,
               .first_step = options.first_step,
               .num_epochs = options.num_epochs,
               .order_of = [this](int64_t epoch) {
                 return epoch_order(set_.size(), options_.seed, epoch, options_.share);
               }}) {
    options.transform.validate();
    loader_.emplace(
        Loader::Work{.deal = [this] { return walk_.next(); },
                     .make =
                         [this](int64_t count) {
                           return empty_batch(count, options_.transform.crop_size,
                                              options_.pin_memory);
                         },
                     .fill = [this](Loader::Draft& draft, int64_t i) { fill(draft, i); }},
        options.workers, options.prefetch_batches);
  }

  std::optional<batch::SegmentationBatch> next() {
    auto draft = loader_->next();
    if (!draft) return std::nullopt;
    return std::move(draft->batch);
  }

 private:
  using Loader = EpochLoader<int64_t, batch::SegmentationBatch>;

  void fill(Loader::Draft& draft, int64_t i) const {
    const auto sample = draft.items[i];
    const auto pixels = read(set_, sample, options_.decode);
    Rng rng(options_.seed, static_cast<uint64_t>(draft.epoch), static_cast<uint64_t>(sample),
            kCrop);
    auto& batch = draft.batch;
    const auto size = segmentation_transform(pixels.image, pixels.label, options_.transform, rng,
                                             {batch.image[i], batch.label[i]});
    auto* sizes = batch.size.mutable_data_ptr<int64_t>();
    sizes[2 * i] = size.height;
    sizes[2 * i + 1] = size.width;
    batch.sample_id.mutable_data_ptr<int64_t>()[i] = sample;
  }

  const SegmentationSet& set_;
  const SegmentationLoaderOptions options_;
  EpochWalk<int64_t> walk_;
  // Last, so that its threads end before what they use.
  std::optional<Loader> loader_;
};

SegmentationLoader::SegmentationLoader(const SegmentationSet& set,
                                       const SegmentationLoaderOptions& options)
    : impl_(std::make_unique<Impl>(set, options)) {}
SegmentationLoader::~SegmentationLoader() = default;
std::optional<batch::SegmentationBatch> SegmentationLoader::next() { return impl_->next(); }

class SegmentationTestLoader::Impl {
 public:
  Impl(const SegmentationSet& set, const SegmentationTestOptions& options)
      : set_(set), options_(options), next_(options.begin) {
    IBOT_CHECK(0 <= next_ && next_ <= options.end && options.end <= set.size(),
               "segmentation loader: expected samples within [0, ", set.size(), "], got ", next_,
               " to ", options.end);
    pipeline_.emplace(BatchPipeline<SegmentationSample>::Work{
                          .open = [this]() -> std::optional<SegmentationSample> {
                            if (next_ == options_.end) return std::nullopt;
                            return SegmentationSample{.sample = next_++};
                          },
                          .tasks = [](const SegmentationSample&) { return 1; },
                          .fill = [this](SegmentationSample& sample, int64_t) { fill(sample); }},
                      options.workers, options.prefetch);
  }

  std::optional<SegmentationSample> next() { return pipeline_->next(); }

 private:
  void fill(SegmentationSample& sample) const {
    const auto pixels = read(set_, sample.sample, options_.decode);
    sample.label = pixels.label;
    if (options_.keeps_original) sample.original = planes_of(pixels.image);
    const ImageSize size{pixels.image.height(), pixels.image.width()};
    const auto& transform = options_.transform;
    const auto add = [&](ImageSize wanted) {
      sample.versions.push_back(planes_of(linear_resized(pixels.image, wanted)));
    };
    // The published test: one version, of the training scale.
    if (options_.ratios.empty()) {
      add(size_within(size, transform.resize_long, transform.resize_short));
    }
    for (const double ratio : options_.ratios) add(version_size(size, ratio, transform));
  }

  const SegmentationSet& set_;
  const SegmentationTestOptions options_;
  int64_t next_;
  // Last, so that its threads end before what they use.
  std::optional<BatchPipeline<SegmentationSample>> pipeline_;
};

SegmentationTestLoader::SegmentationTestLoader(const SegmentationSet& set,
                                               const SegmentationTestOptions& options)
    : impl_(std::make_unique<Impl>(set, options)) {}
SegmentationTestLoader::~SegmentationTestLoader() = default;
std::optional<SegmentationSample> SegmentationTestLoader::next() { return impl_->next(); }

ImageSize version_size(ImageSize size, double ratio, const SegmentationTransformOptions& options) {
  // mmsegmentation's multi-scale configurations: never below a window.
  const auto scaled = static_cast<int64_t>(static_cast<double>(options.resize_short) * ratio);
  return size_of_short_side(size, std::max(options.crop_size, scaled));
}

}  // namespace ibot::data
