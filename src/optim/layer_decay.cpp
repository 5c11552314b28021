#include "ibot/optim/layer_decay.h"

#include <cmath>
#include <sstream>

namespace ibot::optim {
namespace {

std::vector<std::string> parts_of(const std::string& name) {
  std::vector<std::string> parts;
  std::istringstream stream(name);
  for (std::string part; std::getline(stream, part, '.');) parts.push_back(part);
  if (parts.size() > 1 && parts.front() == "backbone") parts.erase(parts.begin());
  return parts;
}

/// Which part of a network a parameter belongs to. A ViT is one stage.
struct Place {
  enum Kind { kEmbedding, kBlock, kMerging, kRest };
  Kind kind = kRest;
  int64_t stage = 0;
  int64_t block = 0;
};

Place place_of(const std::string& name) {
  const auto parts = parts_of(name);
  const auto& first = parts.front();
  if (first == "cls_token" || first == "pos_embed" || first == "masked_embed" ||
      first == "patch_embed") {
    return {Place::kEmbedding};
  }
  if (first == "blocks" && parts.size() > 1) return {Place::kBlock, 0, std::stoll(parts[1])};
  if (first == "layers" && parts.size() > 2) {
    const auto stage = std::stoll(parts[1]);
    if (parts[2] == "downsample") return {Place::kMerging, stage};
    if (parts[2] == "blocks" && parts.size() > 3) {
      return {Place::kBlock, stage, std::stoll(parts[3])};
    }
  }
  return {};
}

bool ends_in(const std::string& name, const std::string& last) {
  return parts_of(name).back() == last;
}

}  // namespace

LayerIds layer_ids(const std::vector<std::string>& names) {
  std::map<int64_t, int64_t> depths;
  for (const auto& name : names) {
    const auto place = place_of(name);
    if (place.kind != Place::kBlock) continue;
    depths[place.stage] = std::max(depths[place.stage], place.block + 1);
  }
  // Blocks before each stage, and all of them.
  std::map<int64_t, int64_t> before;
  int64_t blocks = 0;
  for (const auto& [stage, depth] : depths) {
    before[stage] = blocks;
    blocks += depth;
  }
  LayerIds ids;
  ids.last = blocks + 1;
  for (const auto& name : names) {
    const auto [kind, stage, block] = place_of(name);
    switch (kind) {
      case Place::kEmbedding:
        ids.of[name] = 0;
        break;
      case Place::kBlock:
        ids.of[name] = before[stage] + block + 1;
        break;
      case Place::kMerging:
        ids.of[name] = before[stage] + depths[stage];
        break;
      case Place::kRest:
        ids.of[name] = ids.last;
    }
  }
  return ids;
}

std::vector<Parameter> layer_decayed_parameters(const torch::nn::Module& module, double decay,
                                                bool decay_positions) {
  auto parameters = trained_parameters(module);
  std::vector<std::string> names;
  for (const auto& parameter : parameters) names.push_back(parameter.name);
  const auto ids = layer_ids(names);
  for (auto& parameter : parameters) {
    parameter.lr_scale = std::pow(decay, static_cast<double>(ids.last - ids.of.at(parameter.name)));
    const bool position =
        ends_in(parameter.name, "cls_token") || ends_in(parameter.name, "pos_embed");
    if (position && !decay_positions) parameter.decays = false;
  }
  return parameters;
}

}  // namespace ibot::optim
