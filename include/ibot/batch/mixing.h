// Erasing and mixing the images of a batch, on the device they are on.
#pragma once

#include <ATen/core/Generator.h>
#include <torch/types.h>

#include <optional>
#include <vector>

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

/// How an image is mixed with its partner: by weight, or by area where there is a box.
struct Mix {
  double lambda = 1.0;  // share of the image itself
  std::optional<PixelBox> box;
};

struct MixedImages {
  torch::Tensor image;
  torch::Tensor target;
};

/// Fills boxes of each image, with probability `erase_prob`, as `erase_mode` says; boxes are drawn
/// from `rng`, normal values from `generator`. Of up to `erase_count` boxes each is as many times
/// smaller as there are.
///
///   images  [B, C, H, W]   normalized float32
///
/// Source: Zhong et al. 2020; timm `RandomErasing`.
void random_erase_(torch::Tensor images, const MixingOptions& options, Rng& rng,
                   const std::optional<at::Generator>& generator);

/// One of `boxes` boxes for random erasing: 2 % to a third of the area over their number, aspect
/// 0.3 to 1 / 0.3; none after ten attempts that do not fit.
std::optional<PixelBox> draw_erased_box(int64_t height, int64_t width, Rng& rng, int64_t boxes = 1);

/// The box of cutmix about a center: 1 - lambda of the area, cut off at the edges.
PixelBox cutmix_box(int64_t height, int64_t width, double lambda, int64_t center_y,
                    int64_t center_x);

/// The Mix of a box: lambda is what it leaves of the image.
Mix mix_by_area(const PixelBox& box, int64_t height, int64_t width);

/// A box anywhere within the image, its sides drawn from [least, most) of the image's.
PixelBox draw_cutmix_box(int64_t height, int64_t width, double least, double most, Rng& rng);

/// Draws how images of this size are mixed.
Mix draw_mix(const MixingOptions& options, int64_t height, int64_t width, Rng& rng);

/// How a batch of images [B, C, H, W] is mixed: one Mix for all or, as `mix_mode` says, one for
/// each image; of a pair both have the same one.
std::vector<Mix> draw_mixes(const MixingOptions& options, at::IntArrayRef sizes, Rng& rng);

/// Mixes each image with that at the same place from the other end of the batch.
///
///   images   [B, C, H, W]   float32
///   labels   [B]            int64
///   mixes    one for the whole batch, or B
///   target   [B, classes]   lambda · s(own label) + (1 - lambda) · s(partner's label), with s as
///                           smooth_targets
///
/// Source: Zhang et al. 2018; Yun et al. 2019; timm `Mixup`.
MixedImages mix_images(const torch::Tensor& images, const torch::Tensor& labels,
                       const std::vector<Mix>& mixes, int64_t classes, double smoothing);

/// One-hot targets of which `smoothing` is spread evenly over all classes: [B] → [B, classes].
torch::Tensor smooth_targets(const torch::Tensor& labels, int64_t classes, double smoothing);

/// A draw of Beta(alpha, alpha), alpha > 0.
double draw_symmetric_beta(double alpha, Rng& rng);

}  // namespace ibot::batch
