// Erasing and mixing the images of a batch, on the device they are on.
#pragma once

#include <ATen/core/Generator.h>
#include <torch/types.h>

#include <optional>

#include "ibot/base/rng.h"
#include "ibot/batch/mixing_options.h"

namespace ibot::batch {

/// Rows [top, bottom) and columns [left, right).
struct PixelBox {
  int64_t top = 0;
  int64_t bottom = 0;
  int64_t left = 0;
  int64_t right = 0;

  int64_t area() const { return (bottom - top) * (right - left); }
};

/// How the images of one batch are mixed: by weight, or by area where there is a box.
struct Mix {
  double lambda = 1.0;  // share of the image itself
  std::optional<PixelBox> box;
};

struct MixedImages {
  torch::Tensor image;
  torch::Tensor target;
};

/// Fills a box of each image, with probability `prob`, with independent N(0, 1) values; boxes are
/// drawn from `rng`, values from `generator`.
///
///   images  [B, C, H, W]   normalised float32
///
/// Source: Zhong et al. 2020; timm `RandomErasing` (mode "pixel").
void random_erase_(torch::Tensor images, double prob, Rng& rng,
                   const std::optional<at::Generator>& generator);

/// A box for random erasing: 2 % to a third of the area, aspect 0.3 to 1 / 0.3; none after ten
/// attempts that do not fit.
std::optional<PixelBox> draw_erased_box(int64_t height, int64_t width, Rng& rng);

/// The box of cutmix about a centre: 1 - lambda of the area, cut off at the edges.
PixelBox cutmix_box(int64_t height, int64_t width, double lambda, int64_t center_y,
                    int64_t center_x);

/// The Mix of a box: lambda is what it leaves of the image.
Mix mix_by_area(const PixelBox& box, int64_t height, int64_t width);

/// Draws how a batch of this size of images is mixed.
Mix draw_mix(const MixingOptions& options, int64_t height, int64_t width, Rng& rng);

/// Mixes each image with that at the same place from the other end of the batch.
///
///   images   [B, C, H, W]   float32
///   labels   [B]            int64
///   target   [B, classes]   lambda · s(own label) + (1 - lambda) · s(partner's label), with s as
///                           smooth_targets
///
/// Source: Zhang et al. 2018; Yun et al. 2019; timm `Mixup` (mode "batch").
MixedImages mix_images(const torch::Tensor& images, const torch::Tensor& labels, const Mix& mix,
                       int64_t classes, double smoothing);

/// One-hot targets of which `smoothing` is spread evenly over all classes: [B] → [B, classes].
torch::Tensor smooth_targets(const torch::Tensor& labels, int64_t classes, double smoothing);

/// A draw of Beta(alpha, alpha), alpha > 0.
double draw_symmetric_beta(double alpha, Rng& rng);

}  // namespace ibot::batch
