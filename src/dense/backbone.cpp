#include "ibot/dense/backbone.h"

#include <torch/nn/modules/conv.h>

#include <algorithm>
#include <cmath>

#include "ibot/dense/swin_pyramid.h"
#include "ibot/dense/vit_pyramid.h"
#include "ibot/models/architecture.h"
#include "ibot/models/network.h"
#include "ibot/nn/init.h"

namespace ibot::dense {
namespace {

constexpr const char* kPositions = "backbone.pos_embed";

/// Tensors of pyramid and norms, which a pre-trained backbone may lack.
bool is_added(const std::string& name) {
  return name.starts_with("fpn") || name.starts_with("norm");
}

/// Stored position embeddings, of a square and its class token, on another grid.
torch::Tensor on_grid(const torch::Tensor& stored, const nn::PositionGrid& wanted) {
  if (stored.dim() != 3) return stored;  // refused with its shape
  const auto side = std::llround(std::sqrt(static_cast<double>(stored.size(1) - 1)));
  const bool square = side * side == stored.size(1) - 1;
  if (!square || (side == wanted.rows && side == wanted.columns)) return stored;
  return nn::resize_pos_embed(stored, {side, side}, wanted);
}

}  // namespace

std::vector<int64_t> default_taps(int64_t depth) {
  // Numbers from 0: block n - 1 is the n-th. Depth 12 gives 3, 5, 7, 11, and 24 gives 7, 11, 15,
  // 23.
  const auto after = [](int64_t blocks) { return std::max<int64_t>(blocks - 1, 0); };
  return {after(depth / 3), after(depth / 2), after((2 * depth + 2) / 3), after(depth)};
}

void DenseBackbone::train(bool on) {
  torch::nn::Module::train(on);
  if (!frozen_) return;
  // A frozen backbone stays in evaluation mode, whatever the network around it does.
  for (const auto& part : pretrained()) part->train(false);
}

void DenseBackbone::freeze() {
  if (!frozen_) return;
  // Class token and positions are the backbone's own.
  for (auto& parameter : parameters(/*recurse=*/false)) parameter.set_requires_grad(false);
  for (const auto& part : pretrained()) {
    for (auto& parameter : part->parameters()) parameter.set_requires_grad(false);
  }
}

std::shared_ptr<DenseBackbone> build_backbone(const DenseOptions& options) {
  if (models::architecture_of(options.backbone.arch).hierarchical) {
    return std::make_shared<SwinPyramid>(options, models::swin_shape(options.backbone));
  }
  return std::make_shared<VitPyramid>(options, models::vit_shape(options.backbone));
}

void initialize_(DenseBackbone& backbone, at::Generator generator) {
  const torch::NoGradGuard no_grad;
  models::initialize_(backbone, generator);
  for (auto& layer : backbone.modules()) {
    // torch's default: fan-in of [in, out, k, k] is out · k².
    auto* conv = layer->as<torch::nn::ConvTranspose2dImpl>();
    if (conv == nullptr) continue;
    const auto fan_in = conv->weight[0].numel();
    nn::fan_in_uniform_(conv->weight, fan_in, generator);
    nn::fan_in_uniform_(conv->bias, fan_in, generator);
  }
}

models::LoadReport load_weights_(DenseBackbone& backbone, const models::Weights& weights) {
  auto filled = weights;
  const auto positions = filled.tensors.find(kPositions);
  if (positions != filled.tensors.end()) {
    positions->second = on_grid(positions->second, backbone.position_grid());
  }
  // What the file cannot have keeps its value, so that anything else missing is an error.
  std::vector<std::string> added;
  for (const auto& [short_name, tensor] : models::named_state(backbone)) {
    const auto name = "backbone." + short_name;
    if (!is_added(short_name) || filled.tensors.count(name) > 0) continue;
    filled.tensors.emplace(name, tensor);
    added.push_back(name);
  }
  auto report = models::load_weights_(backbone, filled, "backbone.");
  std::erase_if(report.loaded, [&](const auto& name) {
    return std::find(added.begin(), added.end(), name) != added.end();
  });
  report.missing.insert(report.missing.end(), added.begin(), added.end());
  if (positions != filled.tensors.end() &&
      !positions->second.is_same(weights.tensors.at(kPositions))) {
    report.resized.emplace_back(kPositions);
  }
  return report;
}

}  // namespace ibot::dense
