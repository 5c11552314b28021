// Labels of whole images from a network that sees windows of them.
#pragma once

#include <torch/types.h>

#include <functional>
#include <vector>

namespace ibot::segmentation {

/// Rows [top, bottom) and columns [left, right) of an image.
struct Window {
  int64_t top = 0;
  int64_t left = 0;
  int64_t bottom = 0;
  int64_t right = 0;
  bool operator==(const Window&) const = default;
};

///   crop    side of a window; an image with a smaller side is seen whole along it
///   stride  from one window to the next; the last ones end with the image
///   batch   windows that the network sees at once, for its memory
struct SlidingOptions {
  int64_t crop = 512;
  int64_t stride = 341;
  int64_t batch = 8;
};

/// The windows of an image, row by row.
///
/// Source: mmsegmentation 0.12, EncoderDecoder.slide_inference.
std::vector<Window> sliding_windows(int64_t height, int64_t width, const SlidingOptions& options);

/// Gives logits at the size of its images: [B, 3, h, w] → [B, classes, h, w].
using PixelNetwork = std::function<torch::Tensor(const torch::Tensor& images)>;

/// The network's logits averaged over the windows that cover a pixel.
///
///   image    [3, H, W]         normalized
///   returns  [classes, H, W]   float32
torch::Tensor sliding_logits(const PixelNetwork& network, const torch::Tensor& image,
                             const SlidingOptions& options);

/// The class of each pixel of an image of height x width, from one version of it resized:
/// [height, width], int64.
torch::Tensor predicted_labels(const PixelNetwork& network, const torch::Tensor& image,
                               at::IntArrayRef size, const SlidingOptions& options);

/// Probabilities averaged over versions of an image in several sizes, and with `flip` each of them
/// also mirrored: [classes, height, width].
torch::Tensor mean_probabilities(const PixelNetwork& network,
                                 const std::vector<torch::Tensor>& images, bool flip,
                                 at::IntArrayRef size, const SlidingOptions& options);

}  // namespace ibot::segmentation
