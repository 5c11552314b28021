#include "ibot/models/projection_head.h"

#include <torch/nn/functional/normalization.h>

#include "ibot/nn/batch_norm.h"
#include "ibot/nn/lean_linear.h"

namespace ibot::models {

PrototypesImpl::PrototypesImpl(int64_t width, int64_t count, bool learn_norm) {
  weight_g_ = register_parameter("weight_g", torch::ones({count, 1}), learn_norm);
  weight_v_ = register_parameter("weight_v", torch::zeros({count, width}));
}

torch::Tensor PrototypesImpl::forward(const torch::Tensor& features) {
  // Row k is g_k · v_k / ‖v_k‖.
  return torch::linear(features, at::_weight_norm(weight_v_, weight_g_, 0));
}

ProjectionHeadImpl::ProjectionHeadImpl(const HeadOptions& options, int64_t embed_dim, bool shared,
                                       bool learn_norm)
    : options_(options),
      shared_(shared),
      patch_prototypes_(shared ? options.prototypes : options.patch_prototypes) {
  const bool bottleneck = options.bottleneck_dim > 0;
  const auto output = bottleneck ? options.bottleneck_dim : options.prototypes;
  if (options.layers == 1) {
    linears_.push_back(register_module("mlp", torch::nn::Linear(embed_dim, output)));
  } else {
    const bool normed = options.norm != HeadNorm::kNone;
    // The reference's Sequential numbers linear layers, norms and activations consecutively.
    const auto mlp = register_module("mlp", std::make_shared<torch::nn::Module>());
    for (int64_t i = 0; i < options.layers; ++i) {
      const auto name = std::to_string(i * (normed ? 3 : 2));
      linears_.push_back(mlp->register_module(
          name, torch::nn::Linear(i == 0 ? embed_dim : options.hidden_dim,
                                  i == options.layers - 1 ? output : options.hidden_dim)));
      // The reference reuses one norm after every hidden layer; it is registered under its first
      // name.
      if (i == 0 && options.norm == HeadNorm::kLayer) {
        layer_norm_ = mlp->register_module(
            "1", torch::nn::LayerNorm(torch::nn::LayerNormOptions({options.hidden_dim})));
      } else if (i == 0 && normed) {
        batch_norm_ = mlp->register_module("1", torch::nn::BatchNorm1d(options.hidden_dim));
      }
    }
  }
  if (bottleneck) {
    const auto width = options.bottleneck_dim;
    last_layer_ = register_module("last_layer", Prototypes(width, options.prototypes, learn_norm));
    // Shared: the same module under one name, so that its parameters are counted once.
    last_layer2_ =
        shared ? last_layer_
               : register_module("last_layer2", Prototypes(width, patch_prototypes_, learn_norm));
  } else {
    const auto width = options.layers == 1 ? embed_dim : options.hidden_dim;
    mlp2_ = shared ? linears_.back()
                   : register_module("mlp2", torch::nn::Linear(width, patch_prototypes_));
  }
}

bool ProjectionHeadImpl::mixes_tokens() const { return !batch_norm_.is_empty(); }

// Statistics over all images and tokens of the call. One instance serves all hidden layers, so its
// running statistics are updated once per hidden layer and call.
torch::Tensor ProjectionHeadImpl::normalize(const torch::Tensor& hidden) {
  if (layer_norm_) return layer_norm_->forward(hidden);
  if (!batch_norm_) return hidden;
  const auto rows = hidden.flatten(0, -2);  // [tokens, hidden]
  if (options_.norm != HeadNorm::kCenterSyncBatch) {
    return nn::batch_norm(*batch_norm_, rows, group_).view(hidden.sizes());
  }
  // csyncbn only centers: subtract the running mean, keep the scale, then update the statistics.
  // The mean is cloned, since the backward pass needs it unchanged.
  const auto centered = torch::batch_norm(
      rows, batch_norm_->weight, batch_norm_->bias, batch_norm_->running_mean.clone(),
      torch::ones_like(batch_norm_->running_var), false, 0.0, batch_norm_->options.eps(), false);
  if (is_training()) {
    const torch::NoGradGuard no_grad;
    batch_norm_->running_var.fill_(1.0);
    nn::batch_norm(*batch_norm_, rows, group_);
  }
  return centered.view(hidden.sizes());
}

torch::Tensor ProjectionHeadImpl::activate(const torch::Tensor& hidden) const {
  return options_.activation == HeadActivation::kGelu ? torch::gelu(hidden) : torch::relu(hidden);
}

torch::Tensor ProjectionHeadImpl::layer(size_t index, const torch::Tensor& input) {
  auto& linear = linears_[index];
  // A layer's norm and activation belong to its input, which the first one has not.
  if (index == 0) return linear->forward(input);
  // One node that keeps its input alone.
  const bool lean =
      options_.activation == HeadActivation::kGelu && options_.norm == HeadNorm::kNone;
  return lean ? nn::gelu_linear(linear, input) : linear->forward(activate(normalize(input)));
}

torch::Tensor ProjectionHeadImpl::trunk(const torch::Tensor& tokens) {
  const auto last = linears_.size() - 1;
  auto x = tokens;
  for (size_t i = 0; i < last; ++i) x = layer(i, x);
  if (!last_layer_) return last == 0 ? x : activate(normalize(x));
  // float32: in half precision the squared norm under- or overflows, and 1e-12 is zero.
  return torch::nn::functional::detail::normalize(layer(last, x).to(torch::kFloat), 2.0, -1, 1e-12,
                                                  std::nullopt);
}

torch::Tensor ProjectionHeadImpl::class_logits(const torch::Tensor& features) {
  return last_layer_ ? last_layer_->forward(features) : linears_.back()->forward(features);
}

torch::Tensor ProjectionHeadImpl::patch_logits(const torch::Tensor& features) {
  return last_layer2_ ? last_layer2_->forward(features) : mlp2_->forward(features);
}

}  // namespace ibot::models
