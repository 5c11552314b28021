// Learning rates that fall from the head down to the patch embedding.
#pragma once

#include <torch/nn/module.h>

#include <vector>

#include "ibot/models/backbone_options.h"
#include "ibot/optim/parameters.h"

namespace ibot::optim {

/// trained_parameters of `module`, the learning rate of each scaled by decay^(last - layer), with
/// the layers of models::layer_of and the last one that of the head.
///
///   backbone        options of the backbone in `module`
///   decay_tokens    whether learnt tokens and positions (cls_token, pos_embed) have weight decay
///   decay_tables    whether learnt biases of attention have weight decay
///
/// Source: reference `optim_factory.py` (get_parameter_groups, LayerDecayValueAssigner).
std::vector<Parameter> layer_decayed_parameters(const torch::nn::Module& module,
                                                const models::BackboneOptions& backbone,
                                                double decay, bool decay_tokens,
                                                bool decay_tables = true);

/// Those of a segmentor or detector. On a ViT layer_decayed_parameters, in which class token and
/// positions decay: the reference compares their bare names with those that carry `backbone.`, so
/// that its exemption never applies. On Swin one learning rate, and no decay of norms (but for
/// batch normalization, whose names have none) and bias tables; biases decay.
///
/// Source: reference `mmcv_custom/layer_decay_optimizer_constructor.py`; paramwise_cfg of Swin's
/// configurations.
std::vector<Parameter> dense_parameters(const torch::nn::Module& module,
                                        const models::BackboneOptions& backbone, double decay);

/// All of them with weight decay, biases too, as a plain optimizer has it.
std::vector<Parameter> decayed_alike(std::vector<Parameter> parameters);

}  // namespace ibot::optim
