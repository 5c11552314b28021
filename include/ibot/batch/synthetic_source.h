// Batches without images, for benchmarks and tests.
#pragma once

#include "ibot/batch/batch_source.h"
#include "ibot/batch/multi_crop_batch.h"
#include "ibot/mask/patch_mask.h"

namespace ibot::batch {

struct SyntheticOptions {
  int64_t images = 1;
  int64_t global_crops = 2;
  int64_t global_size = 224;
  int64_t local_crops = 0;
  int64_t local_size = 96;
  mask::MaskOptions mask;
  mask::PatchGrid grid;
  mask::PatchGrid local_grid;
  uint64_t seed = 0;
};

/// An endless stream of batches of random pixels, with masks drawn as in training and boxes drawn
/// in an image of unit size.
class SyntheticSource : public BatchSource<MultiCropBatch> {
 public:
  explicit SyntheticSource(const SyntheticOptions& options) : options_(options) {}
  std::optional<MultiCropBatch> next() override;

 private:
  SyntheticOptions options_;
  uint64_t batches_ = 0;
};

}  // namespace ibot::batch
