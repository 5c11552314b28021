// Which patches of student and teacher the patch term compares.
#pragma once

#include <torch/types.h>

#include "ibot/mask/patch_mask.h"

namespace ibot::batch {

/// Row i of the student's patches learns from row i of the teacher's. V views of B images, N
/// patches in a global crop and n in a local one; local crops count only where they are masked.
///
///   student        [M]       int64, indices in the flattened patches of the global crops [Vg·B·N]
///   student_local  [M']      int64, in those of the local crops [Vl·B·n]; undefined: none
///   teacher        [M + M']  int64, in the patches of all crops, the global ones first; undefined:
///                            of each patch the most similar one of the other global crop, which
///                            only the teacher can tell
///   weight         [M + M']  float32, 1 / (number of pairs of the student's view)
///   views          views that the term averages over, with pairs or without
struct PatchPairs {
  torch::Tensor student;
  torch::Tensor student_local;
  torch::Tensor teacher;
  torch::Tensor weight;
  int64_t views = 0;
};

/// Masked patches, each with itself: masked image modelling.
///
///   mask        [Vg·B, N]   bool, in host memory
///   local_mask  [Vl·B, n]   likewise; undefined: local crops have no pairs
///
/// Source: paper eq. 2; for local crops appendix B, pipeline (c), where the teacher sees them too.
/// The source does not say how views of different size are weighted: all count alike.
PatchPairs masked_pairs(const torch::Tensor& mask, const torch::Tensor& local_mask = {});

/// Every patch of one global crop with the patch of the other one whose centre is nearest in the
/// image, provided its own centre lies in the other crop.
///
///   crop_box  [2·B, 4]   float64, as in MultiCropBatch
///
/// Source: paper appendix E, "pos.": nearest absolute position, inside the overlap only. That a
/// patch counts as inside by its centre, and that a view without overlap counts as zero in the
/// average, as one without masks does, is our choice. Throws Error unless there are two crops an
/// image.
PatchPairs pairs_by_position(const torch::Tensor& crop_box, mask::PatchGrid grid);

/// Every patch of one global crop with the most similar one of the other, left to the teacher.
///
/// Source: paper appendix E, "feat.": highest cosine similarity of the backbone's features. The
/// source does not say of which network: the teacher's, of both crops.
PatchPairs pairs_by_feature(int64_t views, int64_t patches);

}  // namespace ibot::batch
