#include "ibot/boxes/losses.h"

#include "ibot/boxes/overlap.h"

namespace ibot::boxes {

torch::Tensor smooth_l1_loss(const torch::Tensor& predicted, const torch::Tensor& target,
                             const torch::Tensor& weight, double beta, double count) {
  return (at::smooth_l1_loss(predicted, target, at::Reduction::None, beta) * weight).sum() / count;
}

torch::Tensor generalized_iou_loss(const torch::Tensor& predicted, const torch::Tensor& target,
                                   const torch::Tensor& weight, double count) {
  // The overlap of decoded boxes, not of differences: its gradient flows through decode.
  return ((1 - paired_generalized_iou(predicted, target)) * weight).sum() / count;
}

torch::Tensor objectness_loss(const torch::Tensor& logits, const torch::Tensor& is_object,
                              const torch::Tensor& weight, double count) {
  return at::binary_cross_entropy_with_logits(logits, is_object.to(logits.scalar_type()), weight,
                                              {}, at::Reduction::Sum) /
         count;
}

torch::Tensor mask_loss(const torch::Tensor& logits, const torch::Tensor& target,
                        const torch::Tensor& label) {
  // 0 with a graph: every parameter of the head has a gradient on every rank. The mean would be
  // NaN.
  if (logits.size(0) == 0) return logits.sum();
  const auto rows = torch::arange(logits.size(0), label.options());
  return at::binary_cross_entropy_with_logits(logits.index({rows, label}),  // [N, H, W]
                                              target.to(logits.scalar_type()));
}

}  // namespace ibot::boxes
