// What the rows of the table of architectures share.
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

/// Digits and a dot from `at` on: how many letters, 0 where there are none.
size_t number_at(const std::string& name, size_t at);

/// Whether a list of the options leaves the choice to the preset. A 0 alone is how runs of earlier
/// versions wrote that.
bool is_preset(const std::vector<int64_t>& list);

/// Numbers in a patch.
double patch_pixels(const BackboneOptions& options);

/// Side of a square of `cells`; 0 where they make none.
int64_t square_side(int64_t cells);

/// cells [S·S, C] → [side·side, C]; undefined where the cells make no square.
///
/// Bicubic (Keys, a = -0.75) by size, corners not aligned, no antialias; computed in float32.
torch::Tensor resize_square(const torch::Tensor& cells, int64_t side);

/// Shapes of a file's backbone.
class Shapes {
 public:
  explicit Shapes(const Weights& weights) : weights_(weights) {}

  bool has(const std::string& name) const { return weights_.tensors.count("backbone." + name) > 0; }

  /// Whether a tensor that is none of ours has a name of this ending.
  bool has_other(std::string_view ending) const;

  /// Throws CheckpointError where there is none of that many dimensions.
  at::IntArrayRef of(const std::string& name, size_t dims) const;

  /// How many numbers follow `beginning` in the names: blocks.0, blocks.1, …
  int64_t count(const std::string& beginning) const;

  template <class... Parts>
  void check(bool ok, const Parts&... parts) const {
    if (!ok) throw CheckpointError(concat(weights_.source, ": ", parts...));
  }

 private:
  const Weights& weights_;
};

/// Side of the square of that many positions or offsets. Throws CheckpointError where they make
/// none.
int64_t grid_side(const Shapes& shapes, int64_t cells);

/// Width and patch size of a patch embedding that is one convolution.
BackboneOptions infer_patches(const Shapes& shapes);

/// The ratio that makes a hidden layer of `hidden`.
double mlp_ratio(int64_t hidden, int64_t width);

/// Takes a preset's name where its shape is that of `options`, and any one beside the numbers
/// elsewhere.
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
