// Learning rates that fall from the head down to the patch embedding.
#pragma once

#include <torch/nn/module.h>

#include <map>
#include <string>
#include <vector>

#include "ibot/optim/parameters.h"

namespace ibot::optim {

/// The layer of each parameter of a backbone with a head, by name alone: embeddings are 0, block i
/// of a ViT is i + 1, block b of stage s of a Swin transformer is 1 + b + the blocks of the stages
/// before, its patch merging the same as the stage's last block; the rest, final norm and head, is
/// one above the last block.
///
///   names   of all parameters, as in the reference, or with `backbone.` before those of the
///   backbone
struct LayerIds {
  std::map<std::string, int64_t> of;
  int64_t last = 0;
};
LayerIds layer_ids(const std::vector<std::string>& names);

/// trained_parameters of `module`, the learning rate of each scaled by decay^(last - layer).
///
///   decay_positions   whether cls_token and pos_embed have weight decay
///
/// Source: reference `optim_factory.py` (get_parameter_groups, LayerDecayValueAssigner).
std::vector<Parameter> layer_decayed_parameters(const torch::nn::Module& module, double decay,
                                                bool decay_positions);

}  // namespace ibot::optim
