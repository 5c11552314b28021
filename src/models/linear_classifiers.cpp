#include "ibot/models/linear_classifiers.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/io/safetensors.h"
#include "ibot/io/torch_file.h"

namespace ibot::models {
namespace {

using Tensors = std::map<std::string, torch::Tensor>;

struct Layer {
  torch::Tensor weight;
  torch::Tensor bias;
};

/// "12.module.linear.weight" is "linear.weight" of classifier 12; a single classifier has no
/// number.
struct Place {
  int64_t number = 0;
  std::string name;
};

Place place_of(const std::string& name) {
  Place place{0, name};
  const auto dot = name.find('.');
  // Six digits at most, so that stoll cannot overflow.
  const bool numbered = dot != std::string::npos && dot > 0 && dot < 7 &&
                        std::all_of(name.begin(), name.begin() + static_cast<std::ptrdiff_t>(dot),
                                    [](unsigned char c) { return std::isdigit(c) != 0; });
  if (numbered) place = {std::stoll(name.substr(0, dot)), name.substr(dot + 1)};
  constexpr std::string_view kModule = "module.";
  if (place.name.starts_with(kModule)) place.name.erase(0, kModule.size());
  return place;
}

/// Layers by number; empty if no tensor belongs to a linear classifier.
std::map<int64_t, Layer> layers_in(const Tensors& tensors) {
  std::map<int64_t, Layer> layers;
  for (const auto& [name, tensor] : tensors) {
    const auto place = place_of(name);
    if (place.name == "linear.weight") layers[place.number].weight = tensor;
    if (place.name == "linear.bias") layers[place.number].bias = tensor;
  }
  return layers;
}

std::optional<LinearClassifiers> stacked(const Tensors& tensors, const std::string& source) {
  const auto layers = layers_in(tensors);
  if (layers.empty()) return std::nullopt;
  std::vector<torch::Tensor> weights, biases;
  for (const auto& [number, layer] : layers) {
    const auto& first = layers.begin()->second.weight;
    IBOT_CHECK_AS(CheckpointError,
                  number == static_cast<int64_t>(weights.size()) && layer.weight.defined() &&
                      layer.bias.defined() && layer.weight.dim() == 2 &&
                      layer.weight.sizes() == first.sizes() &&
                      layer.bias.sizes() == first.sizes().slice(0, 1),
                  source, ": classifier ", number,
                  ": expected linear.weight [C, F] and linear.bias [C] as of the others, counted "
                  "from 0");
    weights.push_back(layer.weight.to(torch::kFloat));
    biases.push_back(layer.bias.to(torch::kFloat));
  }
  return LinearClassifiers{.source = source,
                           .weight = torch::stack(weights),
                           .bias = torch::stack(biases)};  // [N, C, F], [N, C]
}

/// The state file of ibot-eval's linear probe: all classifiers after an epoch.
std::optional<LinearClassifiers> own_classifiers(const io::Safetensors& file,
                                                 const std::string& source) {
  const auto weight = file.tensors.find("weight");
  const auto bias = file.tensors.find("bias");
  const auto progress = file.metadata.find("progress");
  if (progress == file.metadata.end() || weight == file.tensors.end() ||
      bias == file.tensors.end()) {
    return std::nullopt;
  }
  const auto json = nlohmann::json::parse(progress->second, nullptr, /*allow_exceptions=*/false);
  IBOT_CHECK_AS(CheckpointError,
                weight->second.dim() == 3 && json.is_object() && json.contains("next_epoch") &&
                    json["next_epoch"].is_number_integer() &&
                    bias->second.sizes() == weight->second.sizes().slice(0, 2),
                source, ": expected the state of a linear probe; the file is damaged");
  LinearClassifiers result{.source = source,
                           .weight = weight->second,
                           .bias = bias->second,
                           .epoch = json["next_epoch"]};
  const auto best = json.value("best", nlohmann::json::array());
  // Classifier, epoch, top-1 and top-5; classifier -1: none yet.
  if (best.is_array() && best.size() == 4 && best[0].is_number_integer() && best[2].is_number()) {
    result.best = best[0];
    if (result.best >= 0) result.best_top1 = best[2];
  }
  return result;
}

}  // namespace

std::optional<LinearClassifiers> classifiers_of(const io::Value& root, const std::string& source) {
  if (root.dict() == nullptr) return std::nullopt;
  const auto* section = root.dict()->find("state_dict");
  const auto& dict =
      section != nullptr && section->dict() != nullptr ? *section->dict() : *root.dict();
  Tensors tensors;
  for (const auto& [name, value] : dict.items) {
    if (name.text() != nullptr && value.tensor() != nullptr)
      tensors[*name.text()] = *value.tensor();
  }
  auto result = stacked(tensors, source);
  if (!result) return std::nullopt;
  const auto heads = result->weight.size(0);
  if (heads == 1) result->best = 0;
  const auto* best = root.dict()->find("best_acc_hidx");
  // combine_ckpt.py stores only the best classifier but keeps its index in the sweep.
  if (best != nullptr && best->integer() && heads > 1) {
    IBOT_CHECK_AS(CheckpointError, *best->integer() >= 0 && *best->integer() < heads, source,
                  ": best_acc_hidx: expected one of ", heads, " classifiers, got ",
                  *best->integer());
    result->best = *best->integer();
  }
  if (const auto* accuracy = root.dict()->find("best_acc")) result->best_top1 = accuracy->number();
  if (const auto* epoch = root.dict()->find("epoch")) result->epoch = epoch->integer();
  return result;
}

std::optional<LinearClassifiers> read_classifiers(const std::filesystem::path& path) {
  if (io::is_torch_file(path)) return classifiers_of(io::read_torch_file(path).root, path.string());
  const auto file = io::read_safetensors(path);
  auto own = own_classifiers(file, path.string());
  return own ? own : stacked(file.tensors, path.string());
}

}  // namespace ibot::models
