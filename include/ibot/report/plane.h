// Features as points of a plane.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace ibot::report {

/// Coordinates along the directions of largest variance; of a direction the sign is that which
/// makes its largest coefficient positive.
///
///   features  [S, F]
///   returns   [S, dims]   float64; zero where features have fewer directions
torch::Tensor principal_components(const torch::Tensor& features, int64_t dims);

/// t-SNE from the principal plane: exact, 250 steps with probabilities twelvefold, then 500
/// without. Perplexity 30, of few points less.
///
///   features  [S, F]
///   returns   [S, 2]   float64
///
/// Source: van der Maaten and Hinton 2008; step sizes as in scikit-learn.
torch::Tensor tsne(const torch::Tensor& features);

/// Points as an SVG, colored by class, with names under the pointer; up to 12 classes have a
/// legend.
///
///   points   [S, 2]
///   labels   [S]   int64, index in `classes`; undefined: one color
///   names    of the points
std::string scatter_svg(const std::string& title, const torch::Tensor& points,
                        const torch::Tensor& labels, const std::vector<std::string>& classes,
                        const std::vector<std::string>& names);

}  // namespace ibot::report
