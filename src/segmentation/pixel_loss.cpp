#include "ibot/segmentation/pixel_loss.h"

#include <torch/csrc/autograd/custom_function.h>

#include "ibot/base/error.h"
#include "ibot/metrics/segmentation.h"
#include "ibot/segmentation/heads.h"

namespace ibot::segmentation {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kIgnored = 255;

/// One image's part in the loss.
struct ImageLoss {
  torch::Tensor sum;       // [], over its labeled pixels
  torch::Tensor correct;   // []
  torch::Tensor gradient;  // of `sum`, [1, classes, H, W]; undefined unless wanted
};

/// d/dx -log softmax(x)[label] = softmax(x) - one_hot(label), at labeled pixels.
///
///   scores    [1, classes, H', W']   logarithms of the probabilities; overwritten
///   of_label  [1, 1, H', W']         those of the labels
torch::Tensor enlarged_gradient(torch::Tensor scores, const torch::Tensor& index,
                                const torch::Tensor& of_label, const torch::Tensor& counted) {
  return scores.exp_().scatter_(1, index, of_label.expm1()).mul_(counted);
}

torch::Tensor shrunk_gradient(const torch::Tensor& gradient, at::IntArrayRef size) {
  if (gradient.sizes() == size) return gradient;
  return at::upsample_bilinear2d_backward(gradient, gradient.sizes().slice(2), size,
                                          /*align_corners=*/false);
}

///   logits  [1, classes, H, W]
///   labels  [1, H', W']
ImageLoss image_loss(const torch::Tensor& logits, const torch::Tensor& labels,
                     const PixelLossOptions& options, bool with_gradient) {
  const auto enlarged = resized(logits.to(torch::kFloat), labels.sizes().slice(1));
  const auto label = labels.to(torch::kLong);
  const auto counted = label.ne(kIgnored).unsqueeze(1);
  const auto index = label.unsqueeze(1).masked_fill(counted.logical_not(), 0);
  const auto scores = enlarged.log_softmax(1);
  const auto of_label = scores.gather(1, index);
  ImageLoss loss{.sum = -(of_label * counted).sum()};
  if (options.accuracy) loss.correct = metrics::pixel_accuracy(enlarged, label);
  if (!with_gradient) return loss;
  loss.gradient =
      shrunk_gradient(enlarged_gradient(scores, index, of_label, counted), logits.sizes());
  return loss;
}

struct PixelEntropy : torch::autograd::Function<PixelEntropy> {
  static variable_list forward(AutogradContext* context, const torch::Tensor& logits,
                               const torch::Tensor& labels, const PixelLossOptions& options,
                               bool with_gradient) {
    const auto floats = logits.options().dtype(torch::kFloat);
    const auto loss = torch::zeros({}, floats), correct = torch::zeros({}, floats);
    const auto gradient = with_gradient ? torch::empty(logits.sizes(), floats) : torch::Tensor();
    const auto pixels = static_cast<double>(labels.numel());
    for (int64_t i = 0; i < logits.size(0); ++i) {
      const auto image =
          image_loss(logits.narrow(0, i, 1), labels.narrow(0, i, 1), options, with_gradient);
      loss.add_(image.sum / pixels);
      if (options.accuracy) correct.add_(image.correct / static_cast<double>(logits.size(0)));
      if (with_gradient) gradient.narrow(0, i, 1).copy_(image.gradient / pixels);
    }
    context->save_for_backward({gradient});
    context->saved_data["dtype"] = logits.scalar_type();
    context->mark_non_differentiable({correct});
    return {loss, correct};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    IBOT_CHECK(!torch::GradMode::is_enabled(),
               "pixel_loss: expected first derivatives, got create_graph");
    const auto dtype = context->saved_data["dtype"].toScalarType();
    const auto gradient = (context->get_saved_variables()[0] * gradients[0]).to(dtype);
    return {gradient, torch::Tensor(), torch::Tensor(), torch::Tensor()};
  }
};

}  // namespace

PixelLoss pixel_loss(const torch::Tensor& logits, const torch::Tensor& labels,
                     const PixelLossOptions& options) {
  const bool with_gradient = torch::GradMode::is_enabled() && logits.requires_grad();
  const auto results = PixelEntropy::apply(logits, labels, options, with_gradient);
  return {results[0], options.accuracy ? results[1] : torch::Tensor()};
}

}  // namespace ibot::segmentation
