// Features of a request's images.
#pragma once

#include <string>

#include "common/labeled_images.h"
#include "ibot-eval/task.h"
#include "ibot/eval/features.h"
#include "ibot/evaluation/extraction.h"

namespace ibot::apps {

/// Training and test features; labels of both are numbers of the `classes` classes.
struct FeatureBanks {
  eval::FeatureBank train;
  eval::FeatureBank test;
  int64_t classes = 0;
};

/// What a request evaluates, its projection head apart.
evaluation::Subject subject_of(const TaskRequest& request);

/// How the request's images become features, as one of the processes of its job.
evaluation::ExtractionOptions extraction_options(const TaskRequest& request);

/// Computes what is read, for the process that evaluates to find in the cache.
void share_features(const TaskRequest& request, const evaluation::Reads& reads);

/// The features of one half of the images alone.
eval::FeatureBank bank_of(const TaskRequest& request, const LabeledImages& images,
                          data::Split split);

/// The features of one set of images alone, whose content_hash is `hash`; `name` is what progress
/// calls them.
eval::FeatureBank bank_of(const TaskRequest& request, const data::Dataset& images,
                          const std::string& hash, const std::string& name);

}  // namespace ibot::apps
