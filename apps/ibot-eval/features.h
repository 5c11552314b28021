// Features of images, with progress, cache and helpers.
#pragma once

#include <map>
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
  /// What they are the features of, and for which task, as a report tells it.
  std::map<std::string, std::string> identity = {};
};

/// What a request evaluates, its projection head apart.
evaluation::Subject subject_of(const TaskRequest& request);

/// How the request's images become features, as one of the processes of its job.
evaluation::ExtractionOptions extraction_options(const TaskRequest& request);

/// The least that an evaluation can work with.
struct FeatureNeeds {
  int64_t train_images = 1;
  int64_t test_images = 1;
};

/// Features of the request's training and test images: of its network, or the normalised pixels
/// themselves. Parts that the request's cache holds are read, others computed and stored there;
/// several processes of one job share the work through the cache. Loads and dumps them where the
/// request says so.
///
/// Throws RequestError, before any feature is computed, as LabeledImages and read_features do and
/// where there are fewer images than `needs`.
FeatureBanks image_features(const TaskRequest& request, const std::string& task,
                            const FeatureNeeds& needs = {});

/// Computes what `task` reads, for the process that evaluates to find in the cache.
void share_features(const TaskRequest& request, Reads reads);

/// The features of one half of the images alone.
eval::FeatureBank bank_of(const TaskRequest& request, const LabeledImages& images,
                          data::Split split);

/// The features of one set of images alone, whose content_hash is `hash`; `name` is what progress
/// calls them.
eval::FeatureBank bank_of(const TaskRequest& request, const data::Dataset& images,
                          const std::string& hash, const std::string& name);

}  // namespace ibot::apps
