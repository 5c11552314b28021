#include "ibot/loss/koleo_loss.h"

#include "ibot/base/error.h"
#include "ibot/nn/autocast_scope.h"

namespace ibot::loss {
namespace {

// As in DINOv2, for the norm, the distance and the logarithm alike.
constexpr double kEpsilon = 1e-8;

/// For each row of unit length the index of the most similar other row.
torch::Tensor nearest_others(const torch::Tensor& unit) {
  const torch::NoGradGuard no_grad;
  const auto similarity = unit.matmul(unit.transpose(1, 2));          // [V, B, B]
  similarity.diagonal(0, 1, 2).fill_(-2);                             // below any cosine
  return similarity.argmax(-1, true).expand({-1, -1, unit.size(2)});  // [V, B, D]
}

}  // namespace

torch::Tensor koleo_loss(const torch::Tensor& tokens, int64_t views) {
  const auto images = tokens.size(0) / views;
  IBOT_CHECK_AS(ConfigError, images >= 2,
                "loss.weight_koleo: expected at least 2 images per rank and micro-batch, got ",
                images);
  // Half precision cannot tell near neighbors apart.
  const nn::AutocastScope full_precision(tokens.device().type(), std::nullopt);
  const auto rows = tokens.to(torch::kFloat).view({views, images, tokens.size(1)});  // [V, B, D]
  const auto unit = rows / rows.norm(2, -1, true).clamp_min(kEpsilon);
  // The offset keeps the gradient of the norm finite where two tokens are the same.
  const auto apart =
      (unit - unit.gather(1, nearest_others(unit)) + kEpsilon).norm(2, -1);  // [V, B]
  return -(apart + kEpsilon).log().mean(1).sum();
}

}  // namespace ibot::loss
