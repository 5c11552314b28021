// The threaded stream of training batches of supervised evaluations.
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
  /// How often a sample comes in an epoch, changed anew each time; see repeated_order. 1: once.
  int64_t repeats = 1;
  /// Batches whose images are dealt to them in turn, as a sampler deals them to as many ranks: the
  /// appearances of one sample, which follow each other, then lie in different batches.
  int64_t batches_per_update = 1;
  /// Whether an incomplete last batch is left out.
  bool drop_last = true;
  /// Batches of an epoch; the rest of it is left out. 0: all.
  int64_t max_steps_per_epoch = 0;
  Share share;
  /// Where the stream begins, and the epoch it ends before.
  int64_t first_epoch = 0;
  int64_t first_step = 0;
  int64_t num_epochs = 1;
  int64_t workers = 10;
  int64_t prefetch_batches = 4;
  /// Batches in page-locked memory, from which a GPU copies without waiting.
  bool pin_memory = false;
};

/// Batches that one epoch of these options has. Throws DataError when there is none.
int64_t training_steps_per_epoch(int64_t dataset_size, const TrainingLoaderOptions& options);

/// Delivers shuffled, randomly changed batches of epochs first_epoch, …, num_epochs - 1 in order,
/// without a pause between epochs. A batch is a pure function of the options and its place in that
/// order, whatever the number of threads or where the stream began: appearance r of a sample is
/// drawn from stream `kCrop + r` of (seed, epoch, sample). The order of an epoch is that of
/// epoch_order, of stream_order for a data set that is a stream; with repeats that of
/// repeated_order. A sample that does not decode is a
/// DataError at its batch. The data set must outlive the loader.
class TrainingLoader : public batch::BatchSource<batch::LabeledBatch> {
 public:
  TrainingLoader(const Dataset& dataset, const TrainingLoaderOptions& options);
  ~TrainingLoader() override;

  std::optional<batch::LabeledBatch> next() override;
  int64_t steps_per_epoch() const;
  /// Seconds that next() has waited for its threads so far.
  double waited_s() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ibot::data
