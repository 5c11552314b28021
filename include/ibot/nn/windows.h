// Token maps cut into attention windows.
#pragma once

#include <torch/types.h>

#include <vector>

namespace ibot::nn {

/// Windows of size x size tokens. The map is padded with zero tokens on the right and below to
/// whole windows, then shifted up and left by `shift` tokens, what leaves on one side entering on
/// the other.
struct WindowOptions {
  int64_t size = 7;
  int64_t shift = 0;
};

/// Rows and columns of a token map; one number means a square.
struct MapSize {
  int64_t rows;
  int64_t columns;

  MapSize(int64_t side) : rows(side), columns(side) {}
  MapSize(int64_t down, int64_t across) : rows(down), columns(across) {}
  int64_t tokens() const { return rows * columns; }
  bool operator==(const MapSize&) const = default;
};

/// Where the L tokens of a map lie in its W windows of T tokens.
///
///   to_windows  [W·T]         int64, index in the map of each token of each window; past its end
///                             for padding
///   to_map      [L]           int64, index in the windows of each token of the map
///   mask        [W, 1, T, T]  float32, to add to attention scores: -100 between tokens that only
///                             the shift made neighbors, else 0; undefined without shift
struct WindowPlan {
  torch::Tensor to_windows;
  torch::Tensor to_map;
  torch::Tensor mask;
};

/// The plan for maps of that size, computed on `device`.
///
/// Source: Liu et al. 2021 (Swin), section 3.2; reference `swin_transformer.py` (regions of the
/// padded map; padding itself is not masked).
WindowPlan plan_windows(const MapSize& map, const WindowOptions& options, torch::Device device);

/// tokens [B, L, C] → [B, W·T, C], window by window
torch::Tensor to_windows(const torch::Tensor& tokens, const WindowPlan& plan);

/// windows [B, W·T, C] → [B, L, C], padding left out
torch::Tensor to_map(const torch::Tensor& windows, const WindowPlan& plan);

/// The plans of the map sizes and devices met so far. Not for concurrent use.
class WindowPlans {
 public:
  explicit WindowPlans(const WindowOptions& options) : options_(options) {}
  const WindowPlan& of(const MapSize& map, torch::Device device);

 private:
  struct Entry {
    MapSize map;
    torch::Device device;
    WindowPlan plan;
  };

  WindowOptions options_;
  std::vector<Entry> entries_;
};

}  // namespace ibot::nn
