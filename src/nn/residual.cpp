#include "ibot/nn/residual.h"

#include <ATen/ops/gelu_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ibot/kernels/residual.h"
#include "ibot/nn/autocast_scope.h"
#include "nn/lean.h"

namespace ibot::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using MaybeTensor = std::optional<torch::Tensor>;

using kernels::RowScale;

torch::Tensor or_undefined(const MaybeTensor& tensor) { return tensor.value_or(torch::Tensor()); }

MaybeTensor or_none(const torch::Tensor& tensor) {
  return tensor.defined() ? MaybeTensor(tensor) : std::nullopt;
}

/// One factor for each row of `tokens`.
MaybeTensor spread(const torch::Tensor& sample, const torch::Tensor& tokens) {
  if (!sample.defined()) return std::nullopt;
  auto shape = tokens.sizes().vec();
  shape.back() = 1;
  return sample.expand(shape).reshape({-1, 1});
}

/// The type of tokens + scale · branch.
torch::ScalarType sum_type(const torch::Tensor& tokens, torch::ScalarType branch,
                           const RowScale& scale) {
  if (scale.channel.defined()) branch = torch::promote_types(branch, scale.channel.scalar_type());
  return torch::promote_types(tokens.scalar_type(), branch);
}

/// tokens + scale · branch, [R, D], in the storage of `branch` where types allow.
torch::Tensor sum_of(const torch::Tensor& tokens, const torch::Tensor& branch,
                     const RowScale& scale) {
  const auto type = sum_type(tokens, branch.scalar_type(), scale);
  const bool fits = branch.scalar_type() == type;
  const auto output = fits ? branch : torch::empty(branch.sizes(), branch.options().dtype(type));
  kernels::add_scaled_(output, tokens, branch, scale);
  return output;
}

struct LayerGradients {
  torch::Tensor weight, bias, channel;
};

/// Backward pass of scale · (input · weightᵀ + bias), chunk by chunk.
class BranchBackward {
 public:
  BranchBackward(const Affine& layer, RowScale scale)
      : weight_(layer.weight), bias_(*layer.bias), scale_(std::move(scale)) {}

  /// The gradient of a chunk of `input`, from that of the sum.
  torch::Tensor add(const torch::Tensor& gradient, const torch::Tensor& input, const Chunk& chunk) {
    // The gradient of the branch, before and after the factors of the channels.
    const auto above = kernels::add_scaled_backward(
        gradient, {chunk.of(scale_.row), scale_.channel}, weight_.scalar_type());
    products_.add(above.rounded, input);
    accumulate_(rows_, above.sums);
    return above.scaled.mm(weight_);
  }

  // Both factors of a layer scale's gradient, Σ gradient · branch, are sums that the weight's and
  // the bias's gradients need anyway, so the branch is not kept.
  LayerGradients sums() const {
    const auto& channel = scale_.channel;
    if (!channel.defined()) return {products_.value(), rows_, {}};
    const auto products = products_.value().to(channel.scalar_type());
    return {products * channel.unsqueeze(1), rows_ * channel,
            (products * weight_).sum(1) + rows_ * bias_};
  }

 private:
  torch::Tensor weight_, bias_;
  RowScale scale_;
  ProductSum products_;
  torch::Tensor rows_;
};

struct AddLinear : torch::autograd::Function<AddLinear> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& tokens,
                               const torch::Tensor& input, at::TensorList layer,
                               const MaybeTensor& row, const MaybeTensor& channel) {
    const AutocastScope as_given(tokens.device().type(), std::nullopt);
    const RowScale scale{or_undefined(row), or_undefined(channel)};
    context->save_for_backward({input, layer[0], layer[1], scale.row, scale.channel});
    const auto rows = input.flatten(0, -2);
    const auto branch = torch::linear(rows, layer[0], layer[1]);  // [R, D]
    return sum_of(tokens.flatten(0, -2), branch, scale).view(tokens.sizes());
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    refuse_second_derivatives();
    const auto saved = context->get_saved_variables();
    const auto &input = saved[0], &gradient = gradients[0];
    BranchBackward branch({saved[1], saved[2]}, {saved[3], saved[4]});
    const auto rows = gradient.flatten(0, -2);
    const auto of_input = branch.add(rows, input.flatten(0, -2), {0, rows.size(0)});
    const auto sums = branch.sums();
    return {gradient, of_input.view(input.sizes()), sums.weight, sums.bias, {}, sums.channel};
  }
};

/// The parameters of an MLP, in the order in which its node takes them.
struct MlpWeights {
  MlpWeights(at::ArrayRef<torch::Tensor> all, double eps)
      : norm{all[0], all[1], eps}, fc1{all[2], all[3]}, fc2{all[4], all[5]} {}

  NormParameters norm;
  Affine fc1, fc2;
};

/// What an MLP's backward pass is computed from, filled chunk by chunk.
struct MlpKept {
  NormKept norm;
  torch::Tensor hidden;
};

/// tokens + scale · mlp(tokens), [R, D]; into `kept` what a backward pass needs.
torch::Tensor mlp_rows(const torch::Tensor& tokens, const MlpWeights& weights,
                       const RowScale& scale, MlpKept* kept) {
  const auto& [norm, fc1, fc2] = weights;
  const auto dtype = fc1.weight.scalar_type();
  if (kept) {
    kept->norm = room_for_norm(tokens, norm, dtype);
    kept->hidden = fc1.weight.new_empty({tokens.size(0), fc1.weight.size(0)});
  }
  const auto output =
      torch::empty(tokens.sizes(), tokens.options().dtype(sum_type(tokens, dtype, scale)));
  for (const Chunk& chunk : chunks_of(tokens)) {
    const auto part = chunk.of(tokens);
    const auto of_norm = kept ? kept->norm.of(chunk) : NormKept();
    const auto normed = normed_rows(part, norm, dtype, kept ? &of_norm : nullptr);
    const auto hidden =
        kept ? chunk.of(kept->hidden) : fc1.weight.new_empty({chunk.count, fc1.weight.size(0)});
    linear_out_(hidden, normed, fc1);
    const auto branch = torch::linear(torch::gelu(hidden), fc2.weight, fc2.bias);
    kernels::add_scaled_(chunk.of(output), part, branch, {chunk.of(scale.row), scale.channel});
  }
  return output;
}

struct AddMlp : torch::autograd::Function<AddMlp> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& tokens, double eps,
                               at::TensorList layers, const MaybeTensor& row,
                               const MaybeTensor& channel) {
    const AutocastScope as_given(tokens.device().type(), std::nullopt);
    const MlpWeights weights(layers, eps);
    const RowScale scale{or_undefined(row), or_undefined(channel)};
    const auto rows = tokens.flatten(0, -2);
    MlpKept kept;
    const auto output = mlp_rows(rows, weights, scale, &kept);
    variable_list saved{kept.norm.rows, kept.norm.mean, kept.norm.rstd,
                        kept.hidden,    scale.row,      scale.channel};
    saved.insert(saved.end(), layers.begin(), layers.end());
    context->save_for_backward(std::move(saved));
    context->saved_data["normalized"] = kept.norm.normalized;
    context->saved_data["eps"] = eps;
    return output.view(tokens.sizes());
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    refuse_second_derivatives();
    const auto saved = context->get_saved_variables();
    auto& data = context->saved_data;
    const NormKept kept{saved[0], saved[1], saved[2], data["normalized"].toBool()};
    const auto& hidden = saved[3];
    const MlpWeights weights(at::ArrayRef<torch::Tensor>(saved).slice(6), data["eps"].toDouble());
    const auto gradient = gradients[0].flatten(0, -2);
    const bool of_tokens = context->needs_input_grad(0);

    BranchBackward branch(weights.fc2, {saved[4], saved[5]});
    NormLinearBackward first(weights.norm, weights.fc1.weight, {});
    torch::Tensor result;
    if (of_tokens) result = torch::empty_like(gradient);
    for (const Chunk& chunk : chunks_of(gradient)) {
      const auto before = chunk.of(hidden), above = chunk.of(gradient);
      auto of_hidden = branch.add(above, torch::gelu(before), chunk);
      // In place: the hidden rows of a chunk are its largest tensor.
      at::gelu_backward_out(of_hidden, of_hidden, before);
      // `above` is the gradient along the residual path, added as the norm's is written.
      first.add(of_hidden, kept.of(chunk), above, chunk.of(result));
    }
    const auto sums = branch.sums();
    if (of_tokens) result = result.view(gradients[0].sizes());
    return {result,    {}, first.scale(), first.shift(), first.weight(), first.bias(), sums.weight,
            sums.bias, {}, sums.channel};
  }
};

}  // namespace

torch::Tensor add_branch(const torch::Tensor& tokens, torch::Tensor branch,
                         const BranchScale& scale) {
  if (scale.channel.defined()) branch = scale.channel * branch;
  if (scale.sample.defined()) branch = branch * scale.sample.to(branch.dtype());
  return tokens + branch;
}

torch::Tensor add_linear(const torch::Tensor& tokens, const torch::Tensor& input,
                         torch::nn::Linear& linear, const BranchScale& scale) {
  const auto affine = in_force(linear->weight, linear->bias);
  const std::vector<torch::Tensor> layer{affine.weight, *affine.bias};
  return AddLinear::apply(tokens, input.to(affine.weight.scalar_type()), at::TensorList(layer),
                          spread(scale.sample, tokens), or_none(scale.channel));
}

torch::Tensor add_mlp(const torch::Tensor& tokens, const MlpLayers& layers,
                      const BranchScale& scale) {
  const auto first = in_force(layers.fc1->weight, layers.fc1->bias);
  const auto last = in_force(layers.fc2->weight, layers.fc2->bias);
  const auto& norm = layers.norm;
  const std::vector<torch::Tensor> weights{norm->weight, norm->bias,  first.weight,
                                           *first.bias,  last.weight, *last.bias};
  const auto row = spread(scale.sample, tokens);
  if (torch::GradMode::is_enabled()) {
    return AddMlp::apply(tokens, norm->options.eps(), at::TensorList(weights), row,
                         or_none(scale.channel));
  }
  const AutocastScope as_given(tokens.device().type(), std::nullopt);
  return mlp_rows(tokens.flatten(0, -2), MlpWeights(weights, norm->options.eps()),
                  {or_undefined(row), scale.channel}, nullptr)
      .view(tokens.sizes());
}

}  // namespace ibot::nn
