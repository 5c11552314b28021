// Multithreaded loader of evaluation batches.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "ibot/batch/batch_source.h"
#include "ibot/batch/labeled_batch.h"
#include "ibot/codec/decode_options.h"
#include "ibot/data/dataset.h"
#include "ibot/image/eval_transform.h"

namespace ibot::data {

struct LabeledLoaderOptions {
  EvalTransformOptions transform;
  DecodeOptions decode;
  /// Range [begin, end) of samples; -1: to the end of the data set.
  int64_t begin = 0;
  int64_t end = -1;
  /// Told of each sample that does not decode, in order, by the thread that calls next(); it is
  /// left out of its batch. None: such a sample is an error.
  std::function<void(const DamagedFile& sample)> on_unreadable = nullptr;

  // What affects speed and memory alone.
  int64_t batch_size = 64;
  int64_t workers = 10;
  int64_t prefetch_batches = 4;
  /// Pinned batches, for asynchronous copies to a GPU.
  bool pin_memory = false;
};

/// Yields every sample of the range once, in the data set's order; the last batch may be smaller. A
/// sample that does not decode is a DataError, unless `on_unreadable` is told of it. The data set
/// must outlive the loader.
class LabeledLoader : public batch::BatchSource<batch::LabeledBatch> {
 public:
  LabeledLoader(const Dataset& dataset, const LabeledLoaderOptions& options);
  ~LabeledLoader() override;

  std::optional<batch::LabeledBatch> next() override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ibot::data
