// The test of a detector on the annotated images of val/.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ibot-eval/task.h"
#include "ibot/coco/image_set.h"
#include "ibot/detection/detector.h"

namespace ibot::apps {

/// COCO's metrics in percent; writes OUT/detections.json. All ranks test together.
///
///   detections  receives what was found; null: it is dropped
std::map<std::string, double> test_detector(const TaskRequest& request, const coco::ImageSet& set,
                                            detection::Detector& detector,
                                            std::vector<metrics::Detection>* detections = nullptr);

/// A report of detections: the twelve numbers of boxes and, where there are any, of masks, and a
/// table of the categories.
eval::Report detection_report(const TaskRequest& request, const coco::AnnotatedSet& set,
                              const std::vector<metrics::Detection>& detections);

/// The first images with their detections, in OUT/drawings, as many as detect.drawings says; some
/// of them for the page of the report.
std::vector<eval::Figure> draw_detections(const TaskRequest& request, const coco::ImageSet& set,
                                          const std::vector<metrics::Detection>& detections);

}  // namespace ibot::apps
