#include "ibot/batch/synthetic_source.h"

#include <ATen/CPUGeneratorImpl.h>

#include "ibot/base/rng.h"

namespace ibot::batch {
namespace {

/// Masks of crops `first`, …, `first + crops - 1` of all images, in crop-major order.
torch::Tensor draw_masks(const SyntheticOptions& options, uint64_t epoch, int64_t first,
                         int64_t crops, mask::PatchGrid grid) {
  std::vector<torch::Tensor> masks;
  for (int64_t crop = first; crop < first + crops; ++crop) {
    for (int64_t image = 0; image < options.images; ++image) {
      Rng rng(options.seed, epoch, static_cast<uint64_t>(image),
              kMask + static_cast<uint32_t>(crop));
      masks.push_back(
          mask::sample_crop_mask(options.mask, options.mask.start_epoch, crop, grid, rng));
    }
  }
  return torch::stack(masks);  // [crops · images, N]
}

torch::Tensor draw_boxes(const SyntheticOptions& options, uint64_t epoch) {
  std::vector<double> edges;
  for (int64_t crop = 0; crop < options.global_crops; ++crop) {
    for (int64_t image = 0; image < options.images; ++image) {
      Rng rng(options.seed, epoch, static_cast<uint64_t>(image),
              kCrop + static_cast<uint32_t>(crop));
      const double height = rng.uniform(0.5, 1.0), width = rng.uniform(0.5, 1.0);
      const double top = rng.uniform(0.0, 1.0 - height), left = rng.uniform(0.0, 1.0 - width);
      const bool flip = rng.uniform() < 0.5;
      edges.insert(edges.end(),
                   // A flipped crop has its left edge on the right.
                   {top, flip ? left + width : left, top + height, flip ? left : left + width});
    }
  }
  return torch::tensor(edges, torch::kDouble).view({-1, 4});
}

}  // namespace

std::optional<MultiCropBatch> SyntheticSource::next() {
  const auto& o = options_;
  const auto epoch = batches_++;
  auto generator = at::detail::createCPUGenerator(Rng(o.seed, epoch, 0, kDevice).bits());
  const auto pixels = [&](int64_t crops, int64_t size) {
    return torch::randint(256, {crops * o.images, 3, size, size}, generator, torch::kByte);
  };
  MultiCropBatch batch;
  batch.global = pixels(o.global_crops, o.global_size);
  if (o.local_crops > 0) batch.local = pixels(o.local_crops, o.local_size);
  batch.mask = draw_masks(o, epoch, 0, o.global_crops, o.grid);
  if (o.mask.views == mask::MaskViews::kAll) {
    batch.local_mask = draw_masks(o, epoch, o.global_crops, o.local_crops, o.local_grid);
  }
  batch.crop_box = draw_boxes(o, epoch);
  batch.sample_id = torch::arange(o.images);
  batch.label = torch::zeros({o.images}, torch::kLong);
  index_pairs(batch, o.mask.pairs, o.grid);
  return batch;
}

}  // namespace ibot::batch
