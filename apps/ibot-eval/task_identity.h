// What each task's results belong to; docs/evaluation.md has the table.
#pragma once

#include <string>

#include "common/identity.h"
#include "common/labeled_images.h"
#include "ibot-eval/features.h"
#include "ibot-eval/task.h"
#include "ibot/coco/image_set.h"
#include "ibot/data/segmentation_set.h"

namespace ibot::apps {

/// Of an evaluation on features that another program may have computed.
Identity loaded_identity(const FeatureBanks& banks, const evaluation::About& evaluation);

/// Of a test of linear classifiers at hand on images of `images_hash`.
Identity classifier_identity(const TaskRequest& request, const std::string& images_hash);

/// Of a linear probe.
Identity linear_identity(const TaskRequest& request, const LabeledImages& images);

/// Of finetune, semi and transfer, which are named as their configuration sections are.
///
///   keeps_head   whether layers of the projection head are kept
Identity fine_tune_identity(const TaskRequest& request, const LabeledImages& images,
                            const std::string& task, bool keeps_head);

/// Of segment; `weights` is the hash of the backbone that it begins with, or of a trained network.
Identity segment_identity(const TaskRequest& request, const std::string& weights,
                          const data::SegmentationSet& train, const data::SegmentationSet& val);

/// Of a detector; `train` is null where none is trained.
Identity detect_identity(const TaskRequest& request, const coco::ImageSet* train,
                         const coco::ImageSet& val);

}  // namespace ibot::apps
