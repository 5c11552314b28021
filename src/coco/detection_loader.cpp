#include "ibot/coco/detection_loader.h"

#include <algorithm>

#include "ibot/base/error.h"
#include "ibot/base/rng.h"
#include "ibot/coco/view.h"
#include "ibot/codec/decode.h"
#include "loading/epoch_loader.h"

namespace ibot::coco {
namespace {

/// mmdetection drops images with a shorter side.
constexpr int64_t kLeastSide = 32;

void shuffle(std::vector<int64_t>& items, Rng& rng) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[rng.index(i)]);
}

/// The images of one orientation.
std::vector<int64_t> those_of(const std::vector<bool>& wide, bool orientation) {
  std::vector<int64_t> images;
  for (size_t i = 0; i < wide.size(); ++i) {
    if (wide[i] == orientation) images.push_back(static_cast<int64_t>(i));
  }
  return images;
}

/// Repeats the images in their order up to a multiple of `size`.
void pad(std::vector<int64_t>& images, int64_t size) {
  const size_t count = images.size();
  while (images.size() % static_cast<size_t>(size) != 0) {
    images.push_back(images[images.size() % count]);
  }
}

int64_t rounded_up(int64_t value, int64_t divisor) {
  return (value + divisor - 1) / divisor * divisor;
}

/// Views of several sizes as one batch.
batch::DetectionBatch collated(std::vector<View>& views, std::vector<int64_t> samples,
                               int64_t divisor) {
  data::ImageSize largest;
  for (const auto& view : views) {
    largest.height = std::max(largest.height, view.size().height);
    largest.width = std::max(largest.width, view.size().width);
  }
  const auto count = static_cast<int64_t>(views.size());
  batch::DetectionBatch batch;
  // Padded on the right and below; the margin becomes 0 after normalization (padded_normalized).
  batch.image = torch::zeros(
      {count, 3, rounded_up(largest.height, divisor), rounded_up(largest.width, divisor)},
      torch::kByte);
  batch.size = torch::empty({count, 2}, torch::kLong);
  for (int64_t i = 0; i < count; ++i) {
    auto& view = views[i];
    const auto [height, width] = view.size();
    batch.image[i].slice(1, 0, height).slice(2, 0, width).copy_(view.image.permute({2, 0, 1}));
    batch.size[i][0] = height;
    batch.size[i][1] = width;
    batch.boxes.push_back(std::move(view.boxes));
    batch.labels.push_back(std::move(view.labels));
    // Of each image: boxes [M, 4], labels [M], masks [M, H, W].
    batch.masks.push_back(std::move(view.masks));
  }
  batch.sample_id = torch::tensor(samples, torch::kLong);
  return batch;
}

}  // namespace

std::vector<int64_t> trained_images(const AnnotatedSet& set) {
  std::vector<int64_t> images;
  for (size_t i = 0; i < set.images.size(); ++i) {
    const auto& image = set.images[i];
    if (set.objects[i].empty() || std::min(image.height, image.width) < kLeastSide) continue;
    images.push_back(static_cast<int64_t>(i));
  }
  return images;
}

std::vector<bool> wide_ones(const AnnotatedSet& set, const std::vector<int64_t>& images) {
  std::vector<bool> wide;
  for (const auto image : images) {
    wide.push_back(set.images[image].width > set.images[image].height);
  }
  return wide;
}

std::vector<int64_t> oriented_order(const std::vector<bool>& wide, int64_t batch_size,
                                    uint64_t seed, int64_t epoch, data::Share share) {
  Rng rng(seed, static_cast<uint64_t>(epoch), 0, kOrder);
  // Batches of one orientation: less padding. Steps, not batches, are shuffled, so that all ranks
  // have the same orientation.
  const int64_t step_size = batch_size * share.world;
  std::vector<int64_t> images;
  for (const bool orientation : {false, true}) {
    auto group = those_of(wide, orientation);
    shuffle(group, rng);
    if (!group.empty()) pad(group, step_size);
    images.insert(images.end(), group.begin(), group.end());
  }
  std::vector<int64_t> steps(images.size() / static_cast<size_t>(step_size));
  for (size_t i = 0; i < steps.size(); ++i) steps[i] = static_cast<int64_t>(i);
  shuffle(steps, rng);
  std::vector<int64_t> order;
  for (const auto step : steps) {
    for (int64_t i = 0; i < batch_size; ++i) {
      // Ranks interleave within a step, as a batch of one process would be dealt.
      order.push_back(images[step * step_size + i * share.world + share.rank]);
    }
  }
  return order;
}

int64_t oriented_steps(const std::vector<bool>& wide, int64_t batch_size, int64_t world) {
  int64_t steps = 0;
  for (const bool orientation : {false, true}) {
    const auto count = std::count(wide.begin(), wide.end(), orientation);
    steps += rounded_up(count, batch_size * world) / (batch_size * world);
  }
  return steps;
}

class DetectionLoader::Impl {
 public:
  Impl(const data::Dataset& images, const AnnotatedSet& set, const std::vector<int64_t>& trained,
       const DetectionLoaderOptions& options)
      : images_(images),
        set_(set),
        trained_(trained),
        wide_(wide_ones(set, trained)),
        options_(options),
        walk_({.batch_size = options.batch_size,
               .steps_per_epoch = oriented_steps(wide_, options.batch_size, options.share.world),
               .first_epoch = options.first_epoch,
               .first_step = options.first_step,
               .num_epochs = options.num_epochs,
               .order_of = [this](int64_t epoch) {
                 return oriented_order(wide_, options_.batch_size, options_.seed, epoch,
                                       options_.share);
               }}) {
    options.view.validate();
    loader_.emplace(
        Loader::Work{.deal = [this] { return walk_.next(); },
                     .make = [](int64_t count) { return std::vector<View>(count); },
                     .fill = [this](Loader::Draft& draft, int64_t i) { fill(draft, i); }},
        options.workers, options.prefetch_batches);
  }

  std::optional<batch::DetectionBatch> next() {
    auto draft = loader_->next();
    if (!draft) return std::nullopt;
    // From places among the trained images to numbers of all.
    for (auto& item : draft->items) item = trained_[item];
    return collated(draft->batch, std::move(draft->items), options_.divisor);
  }

 private:
  using Loader = data::EpochLoader<int64_t, std::vector<View>>;

  void fill(Loader::Draft& draft, int64_t i) const {
    // Draws depend on seed, epoch and image alone: neither on workers nor on ranks.
    const int64_t image = trained_[draft.items[i]];
    Rng rng(options_.seed, static_cast<uint64_t>(draft.epoch), static_cast<uint64_t>(image), kCrop);
    draft.batch[i] = training_view(view_of(data::decode(images_.read(image), images_.path(image),
                                                        data::as_opencv(options_.decode)),
                                           set_, image),
                                   options_.view, rng);
  }

  const data::Dataset& images_;
  const AnnotatedSet& set_;
  const std::vector<int64_t>& trained_;
  const std::vector<bool> wide_;
  const DetectionLoaderOptions options_;
  data::EpochWalk<int64_t> walk_;
  // Last, so that its threads end before what they use.
  std::optional<Loader> loader_;
};

DetectionLoader::DetectionLoader(const data::Dataset& images, const AnnotatedSet& set,
                                 const std::vector<int64_t>& trained,
                                 const DetectionLoaderOptions& options)
    : impl_(std::make_unique<Impl>(images, set, trained, options)) {}
DetectionLoader::~DetectionLoader() = default;
std::optional<batch::DetectionBatch> DetectionLoader::next() { return impl_->next(); }

}  // namespace ibot::coco
