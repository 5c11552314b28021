// A detector on annotated images: what it finds, and how good that is.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ibot/batch/normalization.h"
#include "ibot/coco/image_set.h"
#include "ibot/detection/detector.h"
#include "ibot/dist/group.h"
#include "ibot/eval/detect_options.h"
#include "ibot/loading/data_options.h"

namespace ibot::evaluation {

///   progress  told the number of images done, of this rank
struct DetectionTestOptions {
  eval::DetectOptions detect;
  data::DataOptions data;
  batch::Normalization normalization;
  torch::Device device = torch::kCPU;
  dist::Group group = {};
  std::function<void(int64_t images)> progress = [](int64_t) {};
};

/// Detections of a detector in evaluation mode in all images of the set, by image; ranks share the
/// images, and all have all detections. Boxes are in pixels of the image, with masks.
std::vector<metrics::Detection> detect_in(detection::Detector& detector, const coco::ImageSet& set,
                                          const DetectionTestOptions& options);

/// COCO's twelve numbers in percent: ap, ap50, ap75, ap_small, ap_medium, ap_large, ar_1, ar_10,
/// ar_100, ar_small, ar_medium, ar_large, each after `prefix`; those that no object decides are
/// left out. And the AP of each category, by its place; -1 without an object.
struct DetectionQuality {
  std::map<std::string, double> metrics;
  std::vector<double> category_ap;
};

DetectionQuality detection_quality(const std::vector<metrics::Truth>& truths,
                                   const std::vector<metrics::Detection>& detections,
                                   const coco::AnnotatedSet& set, metrics::Shape shape,
                                   const std::string& prefix);

/// Both of boxes (`box_`) and masks (`mask_`): the metrics of a report.
std::map<std::string, double> detection_metrics(const std::vector<metrics::Detection>& detections,
                                                const coco::AnnotatedSet& set);

}  // namespace ibot::evaluation
