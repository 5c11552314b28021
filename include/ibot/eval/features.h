// Frozen features of labelled images: what every evaluation of a frozen backbone reads.
#pragma once

#include <torch/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "ibot/base/enum_names.h"
#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/batch/batch_source.h"
#include "ibot/batch/labeled_batch.h"
#include "ibot/batch/normalization.h"

namespace ibot::models {
class Backbone;
}

namespace ibot {
namespace eval {

/// Rows scaled to length 1, those shorter than 1e-12 to less.
///
///   features  [S, F]
torch::Tensor unit_length(const torch::Tensor& features);

/// Which tokens make a feature; the reference's avgpool_patchtokens 0, 1 and 2.
enum class Pooling { kClass, kPatchMean, kClassAndPatchMean };

struct FeatureOptions {
  Pooling pooling = Pooling::kClass;
  int64_t blocks = 1;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("pooling", pooling,
          "class: class tokens of the last blocks, oldest first | patch_mean: mean patch token of "
          "the last block | class_and_patch_mean: both, one after the other");
    field("blocks", blocks, "number of last blocks whose class tokens are taken");
  }

  void validate() const { check_option(blocks > 0, "blocks", "expected above 0, got ", blocks); }
};

/// Features of one set of images.
///
///   features   [S, F]   float32, not normalised
///   labels     [S]      int64
///   sample_id  [S]      int64
struct FeatureBank {
  torch::Tensor features;
  torch::Tensor labels;
  torch::Tensor sample_id;
  std::string name;
};

/// The features of one batch.
///
///   images   [B, 3, H, W]   normalised
///   returns  [B, F]         F = D * (blocks + 1 with patch mean), D for the patch mean alone
///
/// Source: evaluation/eval_knn.py of the reference implementation.
torch::Tensor image_features(models::Backbone& backbone, const torch::Tensor& images,
                             const FeatureOptions& options);

/// How to embed one batch of normalised images: [B, 3, H, W] to [B, F].
using Embedding = std::function<torch::Tensor(const torch::Tensor& images)>;

/// Receives the number of images embedded so far.
using FeatureProgress = std::function<void(int64_t images)>;

/// Embeds all of a source. Nothing is recorded for gradients; the bank lies on `device`.
/// Throws DataError when the source is empty.
FeatureBank collect_features(const Embedding& embedding,
                             batch::BatchSource<batch::LabeledBatch>& source,
                             const batch::Normalization& normalization, torch::Device device,
                             const FeatureProgress& progress = {});

/// The backbone's features of all of a source, in evaluation mode; the backbone is then put back
/// into the mode it was in.
FeatureBank extract_features(models::Backbone& backbone,
                             batch::BatchSource<batch::LabeledBatch>& source,
                             const FeatureOptions& options,
                             const batch::Normalization& normalization, torch::Device device,
                             const FeatureProgress& progress = {});

}  // namespace eval

template <>
struct EnumNames<eval::Pooling> {
  static constexpr std::array<std::pair<eval::Pooling, std::string_view>, 3> values{
      {{eval::Pooling::kClass, "class"},
       {eval::Pooling::kPatchMean, "patch_mean"},
       {eval::Pooling::kClassAndPatchMean, "class_and_patch_mean"}}};
};

}  // namespace ibot
