// Multithreaded loader of training batches for supervised evaluations.
#pragma once

#include <cstdint>
#include <memory>

#include "ibot/batch/batch_source.h"
#include "ibot/batch/labeled_batch.h"
#include "ibot/codec/decode_options.h"
#include "ibot/data/dataset.h"
#include "ibot/image/training_options.h"
#include "ibot/loading/sampler.h"

namespace ibot::data {

struct TrainingLoaderOptions {
  TrainingTransformOptions transform;
  DecodeOptions decode;
  uint64_t seed = 0;
  int64_t batch_size = 64;
  /// Repeated augmentation: occurrences of a sample per epoch, each augmented anew; see
  /// repeated_order.
  int64_t repeats = 1;
  /// Micro-batches per update. Images are interleaved over them as DistributedSampler interleaves
  /// ranks, so repeats of an image fall into different micro-batches.
  int64_t batches_per_update = 1;
  /// Whether an incomplete last batch is dropped.
  bool drop_last = true;
  /// Maximum number of batches per epoch; the rest of the epoch is dropped. 0: no limit.
  int64_t max_steps_per_epoch = 0;
  Share share;
  /// Start of the stream, and the epoch before which it ends.
  int64_t first_epoch = 0;
  int64_t first_step = 0;
  int64_t num_epochs = 1;

  // What affects speed and memory alone.
  int64_t workers = 10;
  int64_t prefetch_batches = 4;
  /// Pinned batches, for asynchronous copies to a GPU.
  bool pin_memory = false;
};

/// Number of batches per epoch. Throws DataError if there is none.
int64_t training_steps_per_epoch(int64_t dataset_size, const TrainingLoaderOptions& options);

/// Yields shuffled, augmented batches of epochs first_epoch, …, num_epochs - 1 in order, without a
/// pause between epochs. A batch is a pure function of the options and its position in that order,
/// independent of the number of threads and of where the stream began: occurrence r of a sample is
/// augmented by stream `kCrop + r` of (seed, epoch, sample). The order within an epoch is
/// epoch_order(), or stream_order() if the data set is a stream, or repeated_order() with repeats.
/// A sample that does not decode is a DataError at its batch. The data set must outlive the loader.
class TrainingLoader : public batch::BatchSource<batch::LabeledBatch> {
 public:
  TrainingLoader(const Dataset& dataset, const TrainingLoaderOptions& options);
  ~TrainingLoader() override;

  std::optional<batch::LabeledBatch> next() override;
  int64_t steps_per_epoch() const;
  /// Total time that next() has waited for worker threads, in seconds.
  double waited_s() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ibot::data
