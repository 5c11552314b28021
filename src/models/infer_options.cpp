#include <algorithm>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/models/architecture.h"
#include "ibot/models/network.h"
#include "ibot/models/weights.h"

namespace ibot::models {
namespace {

/// Numbers in names that are tried: of linear layers every second or third one.
constexpr int64_t kMostHeadLayers = 64;

}  // namespace

BackboneOptions infer_backbone(const Weights& weights, int64_t heads) {
  const auto& all = architectures();
  const auto held = std::find_if(all.begin(), all.end(),
                                 [&](const Architecture& one) { return one.holds(weights); });
  // A file of none is left to the first architecture, whose messages say what is missing.
  const auto options = (held == all.end() ? all.front() : *held).infer(weights, heads);
  try {
    options.validate();
  } catch (const OptionError& error) {
    throw CheckpointError(concat(weights.source, ": backbone.", error.what()));
  }
  return options;
}

HeadOptions infer_head(const Weights& weights) {
  const auto find = [&](const std::string& name) {
    const auto found = weights.tensors.find("head." + name);
    if (found == weights.tensors.end()) return torch::Tensor();
    IBOT_CHECK_AS(CheckpointError, found->second.dim() > 0, weights.source, ": head.", name,
                  ": expected a tensor of one dimension or more, got a scalar");
    return found->second;
  };
  HeadOptions options;
  torch::Tensor last = find("mlp.weight");  // a head of a single layer
  options.layers = last.defined() ? 1 : 0;
  for (int64_t number = 0; number < kMostHeadLayers && !find("mlp.weight").defined(); ++number) {
    const auto weight = find(concat("mlp.", number, ".weight"));
    if (!weight.defined() || weight.dim() != 2) continue;
    if (++options.layers == 1) options.hidden_dim = weight.size(0);
    last = weight;
  }
  IBOT_CHECK_AS(CheckpointError, last.defined() && last.dim() == 2, weights.source,
                ": expected a projection head, found none");
  // Files do not distinguish bn, syncbn and csyncbn: the same tensors.
  const auto norm = find("mlp.1.weight");
  if (norm.defined() && norm.dim() == 1) {
    options.norm = find("mlp.1.running_mean").defined() ? HeadNorm::kBatch : HeadNorm::kLayer;
  }
  // Without a bottleneck there are no prototypes of unit length: the MLP ends in the scores.
  const auto first = find("last_layer.weight_v");
  const auto second = first.defined() ? find("last_layer2.weight_v") : find("mlp2.weight");
  options.bottleneck_dim = first.defined() ? last.size(0) : 0;
  options.prototypes = first.defined() ? first.size(0) : last.size(0);
  options.patch_prototypes = second.defined() ? second.size(0) : options.prototypes;
  // Sharing is storage sharing: a .pth stores a shared layer once under both names.
  options.shared = !second.defined() ||
                   second.const_data_ptr() == (first.defined() ? first : last).const_data_ptr();
  // Lengths that have left 1 were trained.
  const auto lengths = find("last_layer.weight_g");
  options.norm_last_layer = !lengths.defined() || lengths.eq(1).all().item<bool>();
  return options;
}

std::vector<std::string> missing_tensors(const Weights& weights) {
  std::vector<std::string> missing;
  const auto collect = [&](const torch::nn::Module& module, const std::string& prefix) {
    for (const auto& [short_name, tensor] : named_state(module)) {
      const auto name = prefix + short_name;
      if (is_derived(name) || name == "backbone.masked_embed") continue;
      const auto found = weights.tensors.find(name);
      if (found != weights.tensors.end() && found->second.sizes() == tensor.sizes()) continue;
      missing.push_back(name);
    }
  };
  // The number of heads changes no shape.
  const auto backbone = infer_backbone(weights, 1);
  const auto first = weights.tensors.lower_bound("head.");
  if (first == weights.tensors.end() || !first->first.starts_with("head.")) {
    collect(*build_backbone(backbone, Role::kTeacher), "backbone.");
    return missing;
  }
  auto head = infer_head(weights);
  // The file shows one network; the teacher's role builds what it has.
  head.shared_teacher = head.shared;
  collect(Network(backbone, head, Role::kTeacher), "");
  return missing;
}

}  // namespace ibot::models
