// Multithreaded loader of pre-training batches.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ibot/batch/batch_source.h"
#include "ibot/batch/multi_crop_batch.h"
#include "ibot/data/dataset.h"
#include "ibot/image/augment_options.h"
#include "ibot/loading/data_options.h"
#include "ibot/loading/sampler.h"
#include "ibot/mask/mask_options.h"
#include "ibot/mask/patch_mask.h"

namespace ibot::data {

/// A sample that could not be decoded, and the epoch in which it was found.
struct BadSample {
  int64_t sample = 0;
  int64_t epoch = 0;
  std::string path;
  std::string reason;
};

/// Images with clipped gray of more than 8 bits, among those yielded so far in the loader's first
/// epoch.
struct ClippedGray {
  int64_t images = 0;
  /// Number of images yielded.
  int64_t of = 0;
  /// The first such image and its notice.
  std::string path;
  std::string notice;
};

struct MultiCropLoaderOptions {
  DataOptions data;
  AugmentOptions augment;
  mask::MaskOptions mask;
  mask::PatchGrid grid;
  mask::PatchGrid local_grid;
  uint64_t seed = 0;
  int64_t batch_size = 1;
  Share share;
  /// Start of the stream, and the epoch before which it ends.
  int64_t first_epoch = 0;
  int64_t first_step = 0;
  int64_t num_epochs = 1;

  // What affects speed and memory alone.
  /// Pinned batches, for asynchronous copies to a GPU.
  bool pin_memory = false;
};

/// Yields the batches of epochs first_epoch, …, num_epochs - 1 in order, steps_per_epoch() each,
/// without a pause between epochs. A batch is a pure function of the options and its position in
/// that order, independent of the number of threads and of where the stream began.
///
/// The order within an epoch is epoch_order(), or stream_order() if the data set is a stream.
///
/// A sample that does not decode is replaced by a later one of the data set, the first that decodes
/// at a distance of 1, 2, 4, 8, ..., cropped with the random numbers of the lost one. Once the
/// number of distinct bad files exceeds max_bad_share of the data set (and, unless that is 0, ten
/// or a tenth of fewer than a hundred images), next() throws DataError. Errors of worker threads
/// are thrown by next() at the batch concerned, so they too occur at a reproducible position.
///
/// The data set must outlive the loader.
class MultiCropLoader : public batch::BatchSource<batch::MultiCropBatch> {
 public:
  MultiCropLoader(const Dataset& dataset, const MultiCropLoaderOptions& options);
  ~MultiCropLoader() override;

  std::optional<batch::MultiCropBatch> next() override;
  int64_t steps_per_epoch() const;
  /// Total time that next() has waited for worker threads, in seconds.
  double waited_s() const;
  /// Bad samples in the batches yielded since the last call, each reported once.
  std::vector<BadSample> take_bad_samples();
  const ClippedGray& clipped_gray() const;
  /// Counts samples that other ranks found bad as if found here, from the next batch on.
  void add_bad_samples(const std::vector<int64_t>& samples);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ibot::data
