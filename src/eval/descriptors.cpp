#include "ibot/eval/descriptors.h"

#include <ATen/ops/upsample_bilinear2d.h>

#include <array>

#include "ibot/base/error.h"
#include "ibot/models/backbone.h"

namespace ibot::eval {

torch::Tensor multi_scale_features(const Embedding& embedding, const torch::Tensor& images,
                                   const std::vector<double>& scales) {
  IBOT_CHECK(!scales.empty(), "multi-scale features: expected at least one scale");
  torch::Tensor sum;
  for (const double scale : scales) {
    const std::array<double, 2> factors{scale, scale};
    const auto scaled =
        scale == 1.0 ? images : at::upsample_bilinear2d(images, c10::nullopt, false, factors);
    const auto features = embedding(scaled);  // [B, F]
    sum = sum.defined() ? sum + features : features;
  }
  sum = sum / static_cast<double>(scales.size());
  // Features are summed as they are: an image scale with larger ones weighs more (reference).
  return sum / sum.norm(2, 1, true);
}

torch::Tensor generalized_mean(const torch::Tensor& patch_tokens) {
  // GeM (Radenović et al. 2019) with p = 4; the floor is the reference's.
  return patch_tokens.clamp_min(1e-6).pow(4).mean(1).pow(0.25);
}

torch::Tensor copy_descriptors(models::Backbone& backbone, const torch::Tensor& images) {
  const auto output = backbone.forward(images);
  return torch::cat({output.class_token, generalized_mean(output.patch_tokens)}, 1);  // [B, 2 D]
}

}  // namespace ibot::eval
