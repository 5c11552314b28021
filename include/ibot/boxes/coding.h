// Boxes as differences to other boxes.
#pragma once

#include <torch/types.h>

#include <array>
#include <cstdint>
#include <optional>

namespace ibot::boxes {

using Deviations = std::array<double, 4>;

struct ImageSize {
  int64_t height = 0;
  int64_t width = 0;
};

/// How the targets differ from the proposals: the centers' distance in widths and heights of the
/// proposal, and the logarithm of the sides' ratio; each divided by its deviation.
///
///   proposals, targets  [N, 4]
///   returns             [N, 4]
///
/// Source: Girshick et al. 2014; mmdetection 2.11, DeltaXYWHBBoxCoder.
torch::Tensor encode(const torch::Tensor& proposals, const torch::Tensor& targets,
                     const Deviations& deviations);

/// The boxes that differences stand for. Sides change by a factor of at most 1000 / 16. Where
/// `image` is given, boxes are clipped to it, borders included.
///
///   proposals    [N, 4]
///   differences  [N, 4 C]  four columns a class
///   returns      [N, 4 C]
torch::Tensor decode(const torch::Tensor& proposals, const torch::Tensor& differences,
                     const Deviations& deviations, std::optional<ImageSize> image = {});

/// Boxes with every corner within the image.
torch::Tensor clipped(const torch::Tensor& boxes, ImageSize image);

}  // namespace ibot::boxes
