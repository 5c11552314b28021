// Multithreaded loader of training batches with objects.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ibot/batch/batch_source.h"
#include "ibot/batch/detection_batch.h"
#include "ibot/coco/annotations.h"
#include "ibot/coco/view_options.h"
#include "ibot/codec/decode_options.h"
#include "ibot/data/dataset.h"
#include "ibot/loading/sampler.h"

namespace ibot::coco {

/// Numbers of the images that are trained on: with an annotation of a category, at least 32 pixels
/// high and wide. Images whose annotations are all left out have no object: they are background.
///
/// Source: mmdetection 2.11, CocoDataset.
std::vector<int64_t> trained_images(const AnnotatedSet& set);

/// The images of `share.rank` in one epoch, batch by batch. Wide and other images are permuted
/// apart by (seed, epoch) and repeated to whole steps of all ranks; the steps are permuted, so that
/// all images of a step are of one orientation, and rank r takes its images r, r + W, ….
///
///   wide     one flag an image: wider than high
///
/// Source: mmdetection 2.11, DistributedGroupSampler, whose ranks take steps of their own.
std::vector<int64_t> oriented_order(const std::vector<bool>& wide, int64_t batch_size,
                                    uint64_t seed, int64_t epoch, data::Share share);
/// Steps of an epoch of that order.
int64_t oriented_steps(const std::vector<bool>& wide, int64_t batch_size, int64_t world);

struct DetectionLoaderOptions {
  ViewOptions view;
  data::DecodeOptions decode;
  uint64_t seed = 0;
  int64_t batch_size = 2;
  int64_t divisor = 32;  // of a batch's height and width
  data::Share share;
  /// Start of the stream, and the epoch before which it ends.
  int64_t first_epoch = 0;
  int64_t first_step = 0;
  int64_t num_epochs = 1;

  // What affects speed and memory alone.
  int64_t workers = 10;
  int64_t prefetch_batches = 4;
};

/// Yields batches of epochs first_epoch, …, num_epochs - 1 in order. A batch is a pure function of
/// the options and its position: an image is augmented by the stream kCrop of (seed, epoch, image).
/// An image that does not decode or is not of its annotated size is a DataError at its batch.
/// Images, set and `trained` must outlive the loader.
class DetectionLoader : public batch::BatchSource<batch::DetectionBatch> {
 public:
  ///   images   those of the set, in its order
  ///   trained  numbers of those that are read
  DetectionLoader(const data::Dataset& images, const AnnotatedSet& set,
                  const std::vector<int64_t>& trained, const DetectionLoaderOptions& options);
  ~DetectionLoader() override;

  std::optional<batch::DetectionBatch> next() override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Of each of these images, whether it is wider than high.
std::vector<bool> wide_ones(const AnnotatedSet& set, const std::vector<int64_t>& images);

}  // namespace ibot::coco
