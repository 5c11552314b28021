// The test of a segmentor on the images of val/.
#pragma once

#include "ibot-eval/task.h"
#include "ibot/data/segmentation_set.h"
#include "ibot/metrics/segmentation.h"
#include "ibot/segmentation/segmentor.h"

namespace ibot::apps {

/// Scores over all images, of which each rank sees its part.
///
///   writes   whether predictions and overlays go to the request's output as segment.* says
///   figures  receives some of the overlays, of rank 0; null: none
///
/// Throws DataError where an image or a label map is damaged.
metrics::SegmentationScores test_segmentor(const TaskRequest& request,
                                           const data::SegmentationSet& set,
                                           segmentation::Segmentor& network, bool writes,
                                           std::vector<eval::Figure>* figures = nullptr);

}  // namespace ibot::apps
