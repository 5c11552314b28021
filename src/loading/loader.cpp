#include "ibot/loading/loader.h"

#include <ATen/ops/empty.h>

#include <bit>
#include <unordered_set>

#include "data/reason.h"
#include "ibot/base/error.h"
#include "ibot/base/rng.h"
#include "ibot/codec/decode.h"
#include "ibot/image/multi_crop.h"
#include "loading/epoch_loader.h"

namespace ibot::data {
namespace {

/// A batch and what is to be said of each of its samples.
struct Drawn {
  batch::MultiCropBatch batch;
  std::vector<std::vector<BadSample>> bad;
  /// What decoding says of each image; see CheckedImage.
  std::vector<std::string> notices;
};

using Loader = EpochLoader<int64_t, Drawn>;

struct Decoded {
  CheckedImage checked;
  int64_t sample = 0;
};

/// How far behind a bad sample the next replacement to try lies: 1, 2, 4, 8, ... and, where these
/// are bad too, 3, 5, 6, 7, 9, ... A shard of thousands that is gone is left behind in a few steps.
int64_t next_distance(int64_t distance, int64_t size) {
  const auto is_power = [](int64_t value) {
    return std::has_single_bit(static_cast<uint64_t>(value));
  };
  if (distance == 0) return 1;
  if (is_power(distance) && 2 * distance < size) return 2 * distance;
  int64_t next = is_power(distance) ? 3 : distance + 1;
  while (is_power(next)) ++next;
  return next;
}

}  // namespace

class MultiCropLoader::Impl {
 public:
  Impl(const Dataset& dataset, const MultiCropLoaderOptions& options)
      : dataset_(dataset),
        options_(options),
        steps_(options.share.count > 0 ? options.share.count / options.batch_size
                                       : data::steps_per_epoch(dataset.size(), options.batch_size,
                                                               options.share.world)),
        walk_({.batch_size = options.batch_size,
               .steps_per_epoch = steps_,
               .first_epoch = options.first_epoch,
               .first_step = options.first_step,
               .num_epochs = options.num_epochs,
               .order_of = [this](int64_t epoch) { return order_of(epoch); }}) {
    options.data.validate();
    options.augment.validate();
    options.mask.validate();
    loader_.emplace(
        Loader::Work{.deal = [this] { return walk_.next(); },
                     .make = [this](int64_t count) { return empty(count); },
                     .fill = [this](Loader::Draft& draft, int64_t i) { fill(draft, i); }},
        options.data.workers, options.data.prefetch_batches);
  }

  std::optional<batch::MultiCropBatch> next() {
    auto draft = loader_->next();
    if (!draft) return std::nullopt;
    auto& [batch, bad_of, notices] = draft->batch;
    for (auto& bad : bad_of) {
      for (auto& sample : bad) {
        // Once a sample, however many epochs meet it.
        if (!known_bad_.insert(sample.sample).second) continue;
        last_bad_ = sample;
        bad_.push_back(std::move(sample));
      }
    }
    // Later epochs show the same images.
    if (draft->epoch == options_.first_epoch) count_clipped_gray(draft->batch);
    IBOT_CHECK_AS(DataError, known_bad_.size() <= limit(), too_many(known_bad_.size(), last_bad_));
    batch::index_pairs(batch, options_.mask.pairs, options_.grid);
    return std::move(batch);
  }

  int64_t steps_per_epoch() const { return steps_; }
  double waited_s() const { return loader_->waited_s(); }
  const ClippedGray& clipped_gray() const { return clipped_gray_; }
  std::vector<BadSample> take_bad_samples() { return std::exchange(bad_, {}); }
  void add_bad_samples(const std::vector<int64_t>& samples) {
    for (const auto sample : samples) {
      if (known_bad_.insert(sample).second && last_bad_.path.empty()) {
        last_bad_ = {
            .sample = sample, .path = dataset_.path(sample), .reason = "found by another rank"};
      }
    }
  }

 private:
  void count_clipped_gray(const Drawn& drawn) {
    for (size_t i = 0; i < drawn.notices.size(); ++i) {
      ++clipped_gray_.of;
      if (drawn.notices[i].empty() || clipped_gray_.images++ > 0) continue;
      const int64_t sample = drawn.batch.sample_id.const_data_ptr<int64_t>()[i];
      clipped_gray_.path = dataset_.path(sample);
      clipped_gray_.notice = drawn.notices[i];
    }
  }

  std::vector<int64_t> order_of(int64_t epoch) const {
    const auto& order = dataset_.is_stream() ? stream_order : epoch_order;
    return order(dataset_.size(), options_.seed, epoch, options_.share);
  }

  Drawn empty(int64_t count) const {
    const auto size = static_cast<size_t>(count);
    return {empty_batch(), std::vector<std::vector<BadSample>>(size),
            std::vector<std::string>(size)};
  }

  batch::MultiCropBatch empty_batch() const {
    const auto& augment = options_.augment;
    const int64_t size = options_.batch_size;
    const auto empty = [&](at::IntArrayRef shape, at::ScalarType type) {
      return at::empty(shape, at::TensorOptions(type).pinned_memory(options_.pin_memory));
    };
    const auto crops = [&](int64_t count, int64_t side) {
      return empty({count * size, 3, side, side}, at::kByte);
    };
    batch::MultiCropBatch batch;
    batch.global = crops(augment.global_crops, augment.global_size);
    if (augment.local_crops > 0) batch.local = crops(augment.local_crops, augment.local_size);
    batch.mask = empty({augment.global_crops * size, options_.grid.size()}, at::kBool);
    if (options_.mask.views == mask::MaskViews::kAll) {
      batch.local_mask = empty({augment.local_crops * size, options_.local_grid.size()}, at::kBool);
    }
    batch.crop_box = at::empty({augment.global_crops * size, 4}, at::kDouble);
    batch.sample_id = empty({size}, at::kLong);
    batch.label = empty({size}, at::kLong);
    return batch;
  }

  void fill(Loader::Draft& draft, int64_t i) const {
    auto& [batch, bad, notices] = draft.batch;
    Decoded decoded = decode_or_replace(draft.items[i], draft.epoch, bad[i]);
    notices[i] = std::move(decoded.checked.notice);
    // The key of the sample that was asked for: a replacement changes no other draw.
    const SampleKey key{options_.seed, static_cast<uint64_t>(draft.epoch),
                        static_cast<uint64_t>(draft.items[i])};
    write_boxes(batch, i,
                multi_crop(decoded.checked.image, options_.augment, key, crop_views(batch, i)));
    draw_masks(batch.mask, i, key, 0);
    if (batch.local_mask.defined()) {
      draw_masks(batch.local_mask, i, key, options_.augment.global_crops);
    }
    batch.sample_id.mutable_data_ptr<int64_t>()[i] = decoded.sample;
    batch.label.mutable_data_ptr<int64_t>()[i] = dataset_.label(decoded.sample);
  }

  /// The sample, or the first one of its replacements that decodes; those that did not are added to
  /// `bad`.
  Decoded decode_or_replace(int64_t sample, int64_t epoch, std::vector<BadSample>& bad) const {
    for (int64_t distance = 0; distance < dataset_.size();
         distance = next_distance(distance, dataset_.size())) {
      const int64_t candidate = (sample + distance) % dataset_.size();
      try {
        return {decode_checked(dataset_.read(candidate), dataset_.path(candidate),
                               options_.data.decode),
                candidate};
      } catch (const DataError& error) {
        const std::string path = dataset_.path(candidate);
        bad.push_back({candidate, epoch, path, reason_of(error, path)});
        // No need to look further than where next() is certain to end the run.
        IBOT_CHECK_AS(DataError, bad.size() <= limit(), too_many(bad.size(), bad.back()));
      }
    }
    throw DataError(too_many(bad.size(), bad.back()));
  }

  std::vector<CropView> crop_views(batch::MultiCropBatch& batch, int64_t i) const {
    std::vector<CropView> views;
    const auto add = [&](const at::Tensor& crops, int64_t count, int64_t side) {
      for (int64_t crop = 0; crop < count; ++crop) {
        // Crop-major rows, as the reference concatenates crops.
        const int64_t row = crop * options_.batch_size + i;
        views.push_back({crops.mutable_data_ptr<uint8_t>() + row * 3 * side * side, side, side});
      }
    };
    const auto& augment = options_.augment;
    add(batch.global, augment.global_crops, augment.global_size);
    if (augment.local_crops > 0) add(batch.local, augment.local_crops, augment.local_size);
    return views;
  }

  void write_boxes(batch::MultiCropBatch& batch, int64_t i,
                   const std::vector<CropPlace>& places) const {
    for (int64_t crop = 0; crop < options_.augment.global_crops; ++crop) {
      const auto& [box, flip] = places[crop];
      // Left and right change places where the crop is flipped; see PatchPairs.
      const auto near = static_cast<double>(box.left);
      const auto far = static_cast<double>(box.left + box.width);
      double* edges =
          batch.crop_box.mutable_data_ptr<double>() + 4 * (crop * options_.batch_size + i);
      edges[0] = static_cast<double>(box.top);
      edges[1] = flip ? far : near;
      edges[2] = static_cast<double>(box.top + box.height);
      edges[3] = flip ? near : far;
    }
  }

  /// Fills the rows of image `i`; the first of its crops has number `first`.
  void draw_masks(const at::Tensor& masks, int64_t i, const SampleKey& key, int64_t first) const {
    const auto grid = first == 0 ? options_.grid : options_.local_grid;
    const int64_t crops = masks.size(0) / options_.batch_size;
    for (int64_t crop = 0; crop < crops; ++crop) {
      Rng rng(key.seed, key.epoch, key.sample, kMask + static_cast<uint32_t>(first + crop));
      const auto mask = mask::sample_crop_mask(options_.mask, static_cast<int64_t>(key.epoch),
                                               first + crop, grid, rng);
      std::copy_n(mask.const_data_ptr<bool>(), grid.size(),
                  masks.mutable_data_ptr<bool>() + (crop * options_.batch_size + i) * grid.size());
    }
  }

  /// How many images may be unreadable.
  size_t limit() const {
    const auto images = static_cast<double>(dataset_.size());
    const auto share = options_.data.max_bad_share;
    // One percent of a few hundred images is a handful, which a folder of photographs often has.
    const double always = share > 0 ? std::min(10.0, images / 10.0) : 0.0;
    return static_cast<size_t>(std::max(share * images, always));
  }

  std::string too_many(size_t count, const BadSample& last) const {
    return concat("data: expected at most ", limit(), " of ", dataset_.size(),
                  " images to be unreadable, found ", count, ", the last one ", last.path, " (",
                  last.reason, ")", "; `ibot-data verify` lists them, a data.max_bad_share above ",
                  options_.data.max_bad_share, " allows more");
  }

  const Dataset& dataset_;
  const MultiCropLoaderOptions options_;
  const int64_t steps_;
  EpochWalk<int64_t> walk_;
  std::unordered_set<int64_t> known_bad_;
  std::vector<BadSample> bad_;
  BadSample last_bad_;
  ClippedGray clipped_gray_;
  // Last, so that its threads end before what they use.
  std::optional<Loader> loader_;
};

MultiCropLoader::MultiCropLoader(const Dataset& dataset, const MultiCropLoaderOptions& options)
    : impl_(std::make_unique<Impl>(dataset, options)) {}
MultiCropLoader::~MultiCropLoader() = default;
std::optional<batch::MultiCropBatch> MultiCropLoader::next() { return impl_->next(); }
int64_t MultiCropLoader::steps_per_epoch() const { return impl_->steps_per_epoch(); }
double MultiCropLoader::waited_s() const { return impl_->waited_s(); }
std::vector<BadSample> MultiCropLoader::take_bad_samples() { return impl_->take_bad_samples(); }
const ClippedGray& MultiCropLoader::clipped_gray() const { return impl_->clipped_gray(); }
void MultiCropLoader::add_bad_samples(const std::vector<int64_t>& samples) {
  impl_->add_bad_samples(samples);
}

}  // namespace ibot::data
