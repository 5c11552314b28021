// Code shared by the rows of the table of architectures.
#pragma once

#include <torch/types.h>

#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/models/architecture.h"
#include "ibot/models/weights.h"

namespace ibot::models {

bool starts_with_any(std::string_view name, const std::vector<std::string_view>& beginnings);

void replace(std::string& name, std::string_view from, std::string_view to);

/// Length of a number followed by a dot at position `at`; 0 if there is none.
size_t number_at(const std::string& name, size_t at);

/// Whether an option list leaves the choice to the preset. Runs of earlier versions wrote a single
/// 0 for that.
bool is_preset(const std::vector<int64_t>& list);

/// Number of values in a patch.
double patch_pixels(const BackboneOptions& options);

/// Side of a square of `cells`; 0 if the number is not a square.
int64_t square_side(int64_t cells);

/// cells [S·S, C] → [side·side, C]; undefined if the number of cells is not a square.
///
/// Bicubic (Keys, a = -0.75) to an output size, align_corners false, no antialiasing; computed in
/// float32.
torch::Tensor resize_square(const torch::Tensor& cells, int64_t side);

/// The learned biases of attention by offset, of Swin's windows or a ViT with a class token.
OwnParameter bias_table_parameter();

/// Tensor shapes of a file's backbone.
class Shapes {
 public:
  explicit Shapes(const Weights& weights) : weights_(weights) {}

  bool has(const std::string& name) const { return weights_.tensors.count("backbone." + name) > 0; }

  /// Whether a tensor outside our networks has a name with this ending.
  bool has_other(std::string_view ending) const;

  /// Throws CheckpointError unless there is a tensor with that many dimensions.
  at::IntArrayRef of(const std::string& name, size_t dims) const;

  /// Number of consecutive indices after `beginning` in the names: blocks.0, blocks.1, …
  int64_t count(const std::string& beginning) const;

  template <class... Parts>
  void check(bool ok, const Parts&... parts) const {
    if (!ok) throw CheckpointError(concat(weights_.source, ": ", parts...));
  }

 private:
  const Weights& weights_;
};

/// Side of the square of that many positions or offsets. Throws CheckpointError if the number is
/// not a square.
int64_t grid_side(const Shapes& shapes, int64_t cells);

/// Width and patch size of a patch embedding that is one convolution.
BackboneOptions infer_patches(const Shapes& shapes);

/// The ratio that yields the hidden width `hidden`.
double mlp_ratio(int64_t hidden, int64_t width);

/// Replaces explicit numbers by a preset of the same shape; without one, keeps the numbers with the
/// first preset's name.
template <class ShapeOf>
void name_preset(BackboneOptions& options, const std::vector<Preset>& presets,
                 const ShapeOf& shape_of) {
  options.arch = presets.front().name;
  const auto wanted = shape_of(options);
  for (const auto& preset : presets) {
    auto named = options;
    named.arch = preset.name;
    named.embed_dim = 0;
    named.depth = named.heads = {};
    if (shape_of(named) != wanted) continue;
    options = named;
    return;
  }
}

}  // namespace ibot::models
