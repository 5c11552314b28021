// Average precision and recall of detections, as COCO counts them.
#pragma once

#include <torch/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ibot/metrics/run_length.h"

namespace ibot::metrics {

/// What is compared: boxes, or masks.
enum class Shape { kBox, kMask };

/// An annotated object.
///
///   area   that decides about its size, of the annotation; square pixels
///   mask   for Shape::kMask alone
///   crowd  a group: detections within it count neither for nor against
struct Truth {
  int64_t image = 0;
  int64_t category = 0;
  Box box{};
  RunLengthMask mask = {};
  double area = 0;
  bool crowd = false;
};

/// A detected object. `area` decides about its size: of its box or mask; mmdetection 2.11 takes
/// that of the box for masks too.
struct Detection {
  int64_t image = 0;
  int64_t category = 0;
  double score = 0;
  Box box{};
  RunLengthMask mask = {};
  double area = 0;
};

/// Objects of an area in [low, high], both ends included; square pixels.
struct AreaRange {
  std::string name;
  double low = 0;
  double high = 0;
};

///   limits       so many detections an image count, in ascending order
///   by_category  false: all categories are one, as for proposals
struct AveragePrecisionOptions {
  Shape shape = Shape::kBox;
  std::vector<int64_t> limits{1, 10, 100};
  bool by_category = true;
};

/// -1: no object to be found.
///
///   categories  ascending
///   precision   [10 thresholds of overlap, 101 recalls, categories, 4 areas, limits]  float64
///   recall      [10, categories, 4, limits]                                           float64
struct AveragePrecision {
  std::vector<int64_t> categories;
  std::vector<int64_t> limits;
  torch::Tensor precision;
  torch::Tensor recall;

  /// The twelve numbers that COCO reports: AP (at 100 detections where that is a limit), AP50,
  /// AP75, AP of small, medium and large objects, recall at each limit (three), recall of small,
  /// medium and large ones. Throws Error for another number of limits than three.
  std::array<double, 12> summary() const;
  /// AP of one category, by its place in `categories`.
  double category_ap(int64_t place) const;

 private:
  /// The place of 100 among the limits, or of the largest.
  int64_t common_limit() const;
};

/// All, small (to 32²), medium (to 96²), large.
const std::array<AreaRange, 4>& area_ranges();
/// 0.50, 0.55, …, 0.95.
const std::array<double, 10>& overlap_thresholds();

/// Whom each detection of an image is matched with at one threshold of overlap.
///
///   truth    the truth's place, or none
///   ignored  whether the detection counts not at all
struct Matches {
  std::vector<std::optional<int64_t>> truth;
  std::vector<bool> ignored;
};

/// Detections in descending order of score take the free truth that they overlap most, from
/// `threshold` on; one that is ignored (a crowd, or of an area outside of `range`) only where no
/// other is left, and crowds any number of times.
///
///   detection_areas  [D]
///   truth_areas      [G]
///   crowd            [G]
///   overlap          [D, G]  float64; see overlaps
Matches match(const torch::Tensor& overlap, const std::vector<double>& detection_areas,
              const std::vector<double>& truth_areas, const std::vector<bool>& crowd,
              const AreaRange& range, double threshold);

/// Evaluates detections of the images and categories that are named; others are left out.
///
/// Source: pycocotools 2.0, COCOeval.
AveragePrecision average_precision(const std::vector<Truth>& truths,
                                   const std::vector<Detection>& detections,
                                   const std::vector<int64_t>& images,
                                   const std::vector<int64_t>& categories,
                                   const AveragePrecisionOptions& options);

}  // namespace ibot::metrics
