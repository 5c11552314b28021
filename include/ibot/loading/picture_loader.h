// The threaded stream of images that keep a size of their own.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "ibot/batch/batch_source.h"
#include "ibot/codec/decode_options.h"
#include "ibot/data/dataset.h"
#include "ibot/image/image.h"

namespace ibot::data {

/// What a network sees of an image: [3, H, W], uint8, of any size. Called by many threads at once.
using Framing = std::function<torch::Tensor(const Image& image, int64_t sample)>;

struct PictureLoaderOptions {
  Framing framing;
  DecodeOptions decode;
  /// Whether a JPEG that ends early is shown as far as it goes, or refused.
  bool accepts_truncated = false;
  /// Samples from `begin` to before `end`.
  int64_t begin = 0;
  int64_t end = 0;

  // What affects speed and memory alone.
  int64_t batch_size = 64;
  int64_t workers = 10;
  int64_t prefetch_batches = 4;
};

/// Delivers every sample of the range once, in the data set's order. A sample that does not decode
/// is a DataError. The data set must outlive the loader.
class PictureLoader : public batch::BatchSource<std::vector<torch::Tensor>> {
 public:
  PictureLoader(const Dataset& dataset, PictureLoaderOptions options);
  ~PictureLoader() override;

  std::optional<std::vector<torch::Tensor>> next() override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ibot::data
