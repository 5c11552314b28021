// Masks as runs of pixels: the format of COCO.
#pragma once

#include <torch/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ibot::metrics {

/// A mask as the lengths of its runs, column by column from the top left: unset pixels first, then
/// set ones, in turn. The first length is 0 where the first pixel is set; no other is.
///
/// Source: pycocotools 2.0, whose texts and numbers these functions give.
struct RunLengthMask {
  int64_t height = 0;
  int64_t width = 0;
  std::vector<uint32_t> counts;

  bool operator==(const RunLengthMask&) const = default;
};

/// x, y, width, height in pixels.
using Box = std::array<double, 4>;

///   mask  [H, W]  uint8 or bool, any value but 0 is set
RunLengthMask encode_runs(const torch::Tensor& mask);
/// [H, W] uint8 of 0 and 1. Throws DataError where the runs do not fill the mask.
torch::Tensor decode_runs(const RunLengthMask& mask);

/// The compressed text of annotation files.
std::string runs_to_text(const RunLengthMask& mask);
/// Throws DataError for a text that is cut off, has other characters, or does not fill the mask.
RunLengthMask runs_from_text(std::string_view text, int64_t height, int64_t width);

/// Set pixels.
int64_t area_of(const RunLengthMask& mask);
/// The smallest box around the set pixels; zeros where there are none.
Box box_of(const RunLengthMask& mask);

/// The union of masks of one size, or what all have in common. Throws Error for masks of different
/// sizes; none give an empty mask.
RunLengthMask merge_runs(const std::vector<RunLengthMask>& masks, bool intersect = false);

/// The inside of an outline: x0, y0, x1, y1, ... in pixels from the image's corner. Drawn at five
/// times the resolution, as pycocotools does. Throws DataError for an odd number of values or fewer
/// than three points.
RunLengthMask runs_of_polygon(const std::vector<double>& outline, int64_t height, int64_t width);
RunLengthMask runs_of_box(const Box& box, int64_t height, int64_t width);

/// Intersection over union of every detection (row) with every truth (column), in float64; for a
/// truth that is a crowd, the share of the detection that lies within it. Disjoint ones have 0.
///
///   crowd    [G]     one flag a truth
///   returns  [D, G]
torch::Tensor overlaps(const std::vector<RunLengthMask>& detections,
                       const std::vector<RunLengthMask>& truths, const std::vector<bool>& crowd);
torch::Tensor overlaps(const std::vector<Box>& detections, const std::vector<Box>& truths,
                       const std::vector<bool>& crowd);

}  // namespace ibot::metrics
