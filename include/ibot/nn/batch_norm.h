// Batch normalisation whose statistics are those of all ranks.
#pragma once

#include <torch/nn/modules/batchnorm.h>

#include "ibot/dist/group.h"

namespace ibot::nn {

/// What `layer` makes of the rows of all ranks, of which each has as many; running statistics move
/// as if one rank had them all, and where they would no longer be finite not at all.
///
///   rows     [R, D]   of this rank
///   returns  [R, D]
///
/// Source: Ioffe & Szegedy 2015; torch `SyncBatchNorm`.
torch::Tensor batch_norm(torch::nn::BatchNorm1dImpl& layer, const torch::Tensor& rows,
                         const dist::Group& group);

}  // namespace ibot::nn
