// Pairs of student and teacher patches that the patch loss compares.
#pragma once

#include <torch/types.h>

#include "ibot/mask/patch_mask.h"

namespace ibot::batch {

/// Row i of the student's patches learns from row i of the teacher's. V views of B images; N
/// patches in a global crop, n in a local one. Local crops take part only if they are masked.
///
///   student        [M]       int64, indices into the flattened patches of global crops [Vg·B·N]
///   student_local  [M']      int64, indices into those of local crops [Vl·B·n]; undefined: none
///   teacher        [M + M']  int64, indices into the patches of all crops, global ones first;
///                            undefined: the most similar patch of the other global crop, which
///                            only the teacher's features determine
///   weight         [M + M']  float32, 1 / (number of pairs of the student's view)
///   views          number of views that the loss averages over, with or without pairs
struct PatchPairs {
  torch::Tensor student;
  torch::Tensor student_local;
  torch::Tensor teacher;
  torch::Tensor weight;
  int64_t views = 0;
};

/// Masked patches, each paired with itself: masked image modeling.
///
///   mask        [Vg·B, N]   bool, in host memory
///   local_mask  [Vl·B, n]   likewise; undefined: local crops have no pairs
///
/// Source: paper eq. 2; for local crops appendix B, pipeline (c), where the teacher sees them too.
/// The source does not say how views of different size are weighted: equally here.
PatchPairs masked_pairs(const torch::Tensor& mask, const torch::Tensor& local_mask = {});

/// Pairs every patch of one global crop with the patch of the other whose center is nearest in the
/// image, provided its own center lies inside the other crop.
///
///   crop_box  [2·B, 4]   float64, as in MultiCropBatch
///
/// Source: paper appendix E, "pos.": nearest absolute position, inside the overlap only. Our
/// choices: a patch is inside if its center is; a view without overlap contributes zero to the
/// average, as a view without masks does. Throws Error unless there are two crops per image.
PatchPairs pairs_by_position(const torch::Tensor& crop_box, mask::PatchGrid grid);

/// Pairs every patch of one global crop with the most similar one of the other, chosen by the
/// teacher.
///
/// Source: paper appendix E, "feat.": highest cosine similarity of backbone features. The source
/// does not say of which network: here the teacher's for both crops.
PatchPairs pairs_by_feature(int64_t views, int64_t patches);

}  // namespace ibot::batch
