// Batch normalization whose statistics are those of all ranks.
#pragma once

#include <torch/nn/modules/batchnorm.h>

#include "ibot/dist/group.h"

namespace ibot::nn {

/// What `layer` makes of the values of all ranks, each of which may have a different number of
/// them; running statistics move as if one rank had them all, and where they would no longer be
/// finite not at all. Over ranks, statistics are float32 whatever the values are.
///
///   rows     [R, D]   of this rank
///   returns  [R, D]
///
/// Source: Ioffe & Szegedy 2015; torch `SyncBatchNorm`.
torch::Tensor batch_norm(torch::nn::BatchNorm1dImpl& layer, const torch::Tensor& rows,
                         const dist::Group& group);

/// The same of maps, [B, D, H, W], per channel.
torch::Tensor batch_norm(torch::nn::BatchNorm2dImpl& layer, const torch::Tensor& maps,
                         const dist::Group& group);

}  // namespace ibot::nn
