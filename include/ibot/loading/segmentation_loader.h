// Multithreaded loaders of images with label maps.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ibot/batch/batch_source.h"
#include "ibot/batch/segmentation_batch.h"
#include "ibot/codec/decode_options.h"
#include "ibot/data/segmentation_set.h"
#include "ibot/image/segmentation_transform.h"
#include "ibot/loading/sampler.h"

namespace ibot::data {

struct SegmentationLoaderOptions {
  SegmentationTransformOptions transform;
  DecodeOptions decode;
  uint64_t seed = 0;
  int64_t batch_size = 4;
  int64_t steps_per_epoch = 0;  // batches
  Share share;
  int64_t first_epoch = 0;
  int64_t first_step = 0;
  int64_t num_epochs = 1;

  // What affects speed and memory alone.
  int64_t workers = 10;
  int64_t prefetch_batches = 4;
  bool pin_memory = false;
};

/// Batches of a training run from a position on: epochs in the order of epoch_order(), each cut off
/// after steps_per_epoch. A batch is a pure function of the options and its position. Damaged files
/// are DataErrors. The set must outlive the loader.
class SegmentationLoader : public batch::BatchSource<batch::SegmentationBatch> {
 public:
  SegmentationLoader(const SegmentationSet& set, const SegmentationLoaderOptions& options);
  ~SegmentationLoader() override;

  std::optional<batch::SegmentationBatch> next() override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// An image to be labeled.
///
///   versions   [3, h, w]   uint8, in each of several sizes
///   original   [3, H, W]   uint8; undefined unless asked for
///   label      [H, W]      uint8
struct SegmentationSample {
  int64_t sample = 0;
  std::vector<torch::Tensor> versions;
  torch::Tensor original;
  torch::Tensor label;
};

///   ratios         sizes of the versions; []: one, of resize_long and resize_short. A version has
///                  a short side of resize_short times its ratio, but at least crop_size
///   keeps_original whether the decoded image itself is wanted too
///   begin, end     samples from one to before the other
struct SegmentationTestOptions {
  SegmentationTransformOptions transform;
  DecodeOptions decode;
  std::vector<double> ratios;
  bool keeps_original = false;
  int64_t begin = 0;
  int64_t end = 0;

  // What affects speed and memory alone.
  int64_t workers = 10;
  int64_t prefetch = 4;
};

/// Every sample of the range once, in order. Damaged files, and label maps of another size than
/// their image, are DataErrors. The set must outlive the loader.
class SegmentationTestLoader : public batch::BatchSource<SegmentationSample> {
 public:
  SegmentationTestLoader(const SegmentationSet& set, const SegmentationTestOptions& options);
  ~SegmentationTestLoader() override;

  std::optional<SegmentationSample> next() override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// The size of the version of an image with this ratio.
ImageSize version_size(ImageSize size, double ratio, const SegmentationTransformOptions& options);

}  // namespace ibot::data
