#include "ibot/segmentation/inference.h"

#include <algorithm>

#include "ibot/base/error.h"
#include "ibot/segmentation/heads.h"

namespace ibot::segmentation {
namespace {

struct Span {
  int64_t begin;
  int64_t end;
};

/// The windows along one side.
std::vector<Span> spans(int64_t side, const SlidingOptions& options) {
  // mmsegmentation's rule: the last window is moved back to end at the border.
  const auto count =
      std::max<int64_t>(side - options.crop + options.stride - 1, 0) / options.stride + 1;
  std::vector<Span> spans;
  for (int64_t k = 0; k < count; ++k) {
    const auto end = std::min(k * options.stride + options.crop, side);
    spans.push_back({std::max<int64_t>(end - options.crop, 0), end});
  }
  return spans;
}

torch::Tensor part(const torch::Tensor& maps, const Window& window) {
  return maps.slice(-2, window.top, window.bottom).slice(-1, window.left, window.right);
}

/// sliding_logits in another size.
torch::Tensor logits_of_size(const PixelNetwork& network, const torch::Tensor& image,
                             at::IntArrayRef size, const SlidingOptions& options) {
  return resized(sliding_logits(network, image, options).unsqueeze(0), size).squeeze(0);
}

}  // namespace

std::vector<Window> sliding_windows(int64_t height, int64_t width, const SlidingOptions& options) {
  IBOT_CHECK(options.crop > 0 && options.stride > 0 && options.batch > 0,
             "windows: expected crop, stride and batch above 0");
  std::vector<Window> windows;
  for (const auto& rows : spans(height, options)) {
    for (const auto& columns : spans(width, options)) {
      windows.push_back({rows.begin, columns.begin, rows.end, columns.end});
    }
  }
  return windows;
}

torch::Tensor sliding_logits(const PixelNetwork& network, const torch::Tensor& image,
                             const SlidingOptions& options) {
  const auto windows = sliding_windows(image.size(1), image.size(2), options);
  const auto count = static_cast<int64_t>(windows.size());
  torch::Tensor sum, covers;
  for (int64_t first = 0; first < count; first += options.batch) {
    const auto end = std::min(first + options.batch, count);
    std::vector<torch::Tensor> parts;
    for (int64_t i = first; i < end; ++i) parts.push_back(part(image, windows[i]));
    const auto logits = network(torch::stack(parts));  // [W, classes, h, w]
    // One window is the image: nothing to add up.
    if (count == 1) return logits.squeeze(0);
    if (!sum.defined()) {
      sum = torch::zeros({logits.size(1), image.size(1), image.size(2)}, logits.options());
      covers = torch::zeros({image.size(1), image.size(2)}, logits.options());
    }
    for (int64_t i = first; i < end; ++i) {
      part(sum, windows[i]).add_(logits[i - first]);
      part(covers, windows[i]).add_(1);
    }
  }
  // Logits are averaged where windows overlap, not probabilities.
  return sum.div_(covers);
}

torch::Tensor predicted_labels(const PixelNetwork& network, const torch::Tensor& image,
                               at::IntArrayRef size, const SlidingOptions& options) {
  return logits_of_size(network, image, size, options).argmax(0);
}

torch::Tensor mean_probabilities(const PixelNetwork& network,
                                 const std::vector<torch::Tensor>& images, bool flip,
                                 at::IntArrayRef size, const SlidingOptions& options) {
  torch::Tensor sum;
  int64_t count = 0;
  const auto add = [&](const torch::Tensor& probabilities) {
    sum = sum.defined() ? sum.add_(probabilities) : probabilities;
    ++count;
  };
  for (const auto& image : images) {
    // Unlike windows, versions of an image are averaged as probabilities (mmsegmentation's
    // aug_test).
    add(logits_of_size(network, image, size, options).softmax(0));
    if (!flip) continue;
    // Turned back before it is added.
    add(logits_of_size(network, image.flip(2), size, options).softmax(0).flip(2));
  }
  IBOT_CHECK(count > 0, "inference: expected at least one version of an image");
  return sum.div_(count);
}

}  // namespace ibot::segmentation
