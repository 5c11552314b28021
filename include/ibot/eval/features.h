// Frozen features of labeled images: what every evaluation of a frozen backbone reads.
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
struct BackboneOptions;
struct AttendedPatches;
}  // namespace ibot::models

namespace ibot {
namespace eval {

/// Rows scaled to length 1, those shorter than 1e-12 to less.
///
///   features  [S, F]
torch::Tensor unit_length(const torch::Tensor& features);

/// Throws Error, which begins with `task` and names them as `name`, where not all are finite.
///
///   features  any shape but an empty one
void check_finite(const torch::Tensor& features, const std::string& task, const std::string& name);

/// Which tokens make a feature: the published choice of the task, the reference's
/// avgpool_patchtokens 0, 1 and 2, or the patches that the class token attends to most or least.
enum class Pooling {
  kPublished,
  kClass,
  kPatchMean,
  kClassAndPatchMean,
  kHighestPatches,
  kLowestPatches
};

struct FeatureOptions {
  Pooling pooling = Pooling::kPublished;
  int64_t blocks = 0;
  int64_t patches = 0;

  template <class Visitor>
  void fields(Visitor&& field) {
    field(
        "pooling", pooling,
        "published: what the paper uses for the task and the backbone | class: class tokens of "
        "the last blocks, oldest first | patch_mean: mean patch token of the last block, of a ViT "
        "before the final norm | class_and_patch_mean: class tokens, then the normalized mean "
        "patch token | highest_patches, lowest_patches: the mean of those that the class token of "
        "a ViT attends to most or least, before the final norm");
    field("blocks", blocks, "number of last blocks whose class tokens are taken; 0: one");
    field("patches", patches, "number of highest_patches or lowest_patches");
  }

  void validate() const {
    check_option(blocks >= 0, "blocks", "expected 0 or more, got ", blocks);
    check_option(pooling != Pooling::kPublished || blocks == 0, "blocks",
                 "expected 0 while features.pooling is published, got ", blocks,
                 "; set features.pooling=class too");
    const bool parts = pooling == Pooling::kHighestPatches || pooling == Pooling::kLowestPatches;
    check_option(
        parts ? patches > 0 : patches == 0, "patches", "expected ",
        parts ? "above 0" : "0 unless features.pooling is highest_patches or lowest_patches",
        ", got ", patches);
  }
};

/// `options` with every choice made. Published is the class token of the last block; for linear
/// probing what the backbone's preset says (models::Preset): the class tokens of the last four
/// blocks, all of a network that has fewer, or the class token and the mean patch token of the
/// last.
///
/// Source: paper appendix C; the reference's run.sh.
FeatureOptions resolved(const FeatureOptions& options, bool linear_probing,
                        const models::BackboneOptions& backbone);

/// Mean of the `count` patches that the class token of the last block attends to most, heads
/// averaged, or least; all of them where there are fewer.
///
///   patches  models::AttendedPatches of B images
///   returns  [B, D]
///
/// Source: analysis/linear_part of the reference implementation.
torch::Tensor part_features(const models::AttendedPatches& patches, int64_t count, bool highest);

/// Features of one set of images.
///
///   features   [S, F]   float32, not normalized
///   labels     [S]      int64
///   sample_id  [S]      int64
///   unreadable [U]      int64, the samples that were left out; undefined: none
struct FeatureBank {
  torch::Tensor features;
  torch::Tensor labels;
  torch::Tensor sample_id;
  std::string name;
  torch::Tensor unreadable = {};
};

/// The features of one batch; `options` as `resolved` gives them.
///
///   images   [B, 3, H, W]   normalized
///   returns  [B, F]         F = D * (blocks + 1 with patch mean), D for a mean of patches alone
///
/// Source: evaluation/eval_knn.py of the reference implementation.
torch::Tensor image_features(models::Backbone& backbone, const torch::Tensor& images,
                             const FeatureOptions& options);

/// How to embed one batch of uint8 pixels: [B, 3, H, W] to [B, F].
using Embedding = std::function<torch::Tensor(const torch::Tensor& pixels)>;

/// Receives the number of images embedded so far.
using FeatureProgress = std::function<void(int64_t images)>;

/// Embeds all of a source on `device`. Nothing is recorded for gradients; the bank lies on the
/// host, for that of a large data set can be as large as a GPU's memory. Without images the
/// features are [0, 0].
FeatureBank collect_features(const Embedding& embedding,
                             batch::BatchSource<batch::LabeledBatch>& source, torch::Device device,
                             const FeatureProgress& progress = {});

/// The backbone's features of all of a source, in evaluation mode; the backbone is then put back
/// into the mode it was in. Throws DataError when the source is empty.
FeatureBank extract_features(models::Backbone& backbone,
                             batch::BatchSource<batch::LabeledBatch>& source,
                             const FeatureOptions& options,
                             const batch::Normalization& normalization, torch::Device device,
                             const FeatureProgress& progress = {});

}  // namespace eval

template <>
struct EnumNames<eval::Pooling> {
  static constexpr std::array<std::pair<eval::Pooling, std::string_view>, 6> values{
      {{eval::Pooling::kPublished, "published"},
       {eval::Pooling::kClass, "class"},
       {eval::Pooling::kPatchMean, "patch_mean"},
       {eval::Pooling::kClassAndPatchMean, "class_and_patch_mean"},
       {eval::Pooling::kHighestPatches, "highest_patches"},
       {eval::Pooling::kLowestPatches, "lowest_patches"}}};
};

}  // namespace ibot
