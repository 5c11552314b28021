#include "ibot/batch/synthetic_source.h"

#include <ATen/CPUGeneratorImpl.h>

#include "ibot/base/rng.h"

namespace ibot::batch {

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
  std::vector<torch::Tensor> masks;
  for (int64_t view = 0; view < o.global_crops; ++view) {
    for (int64_t image = 0; image < o.images; ++image) {
      Rng rng(o.seed, epoch, static_cast<uint64_t>(image), kMask + static_cast<uint32_t>(view));
      const double ratio = mask::sample_ratio(o.mask, o.mask.start_epoch, rng);
      masks.push_back(mask::sample_mask(o.mask.shape, ratio, o.grid, rng));
    }
  }
  batch.mask = torch::stack(masks);
  batch.sample_id = torch::arange(o.images);
  batch.label = torch::zeros({o.images}, torch::kLong);
  index_masked_patches(batch);
  return batch;
}

}  // namespace ibot::batch
