// The threaded stream of pre-training batches.
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

/// A file that could not be decoded, met in `epoch` as `sample`.
struct BadSample {
  int64_t sample = 0;
  int64_t epoch = 0;
  std::string path;
  std::string reason;
};

/// Images with gray of more than 8 bits that is cut off, in the first epoch of a loader so far.
struct ClippedGray {
  int64_t images = 0;
  /// Of as many that were delivered in it.
  int64_t of = 0;
  /// The first one, and its notice.
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
  /// Where the stream begins, and the epoch it ends before.
  int64_t first_epoch = 0;
  int64_t first_step = 0;
  int64_t num_epochs = 1;
  /// Batches in page-locked memory, from which a GPU copies without waiting.
  bool pin_memory = false;
};

/// Delivers the batches of epochs first_epoch, …, num_epochs - 1 in order, steps_per_epoch() each,
/// without a pause between epochs. A batch is a pure function of the options and its place in that
/// order, whatever the number of threads or where the stream began.
///
/// The order of an epoch is that of epoch_order, of stream_order for a data set that is a stream.
///
/// A sample that does not decode is replaced by one behind it in the data set that does, the first
/// of those at a distance of 1, 2, 4, 8, ... cropped with the random numbers of the lost one. Once
/// the distinct files found bad are more than max_bad_share of the data set, next() throws
/// DataError; so it does, as for any other failure of a thread, at the batch concerned, so that an
/// error too comes at a fixed place in the order.
///
/// The data set must outlive the loader.
class MultiCropLoader : public batch::BatchSource<batch::MultiCropBatch> {
 public:
  MultiCropLoader(const Dataset& dataset, const MultiCropLoaderOptions& options);
  ~MultiCropLoader() override;

  std::optional<batch::MultiCropBatch> next() override;
  int64_t steps_per_epoch() const;
  /// Seconds that next() has waited for its threads so far.
  double waited_s() const;
  /// The bad files met in the batches delivered since the last call, each only once.
  std::vector<BadSample> take_bad_samples();
  const ClippedGray& clipped_gray() const;
  /// Files that other ranks found bad count as if met here, from the next batch on.
  void add_bad_samples(const std::vector<int64_t>& samples);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ibot::data
