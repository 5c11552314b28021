// Features of image folders, with progress, cache and helpers.
#pragma once

#include <string>
#include <vector>

#include "ibot-eval/task.h"
#include "ibot/eval/features.h"

namespace ibot::apps {

/// Training and validation features with the classes' names; labels of both are indices into them.
struct FeatureBanks {
  eval::FeatureBank train;
  eval::FeatureBank test;
  std::vector<std::string> classes;
};

/// The least that an evaluation can work with.
struct FeatureNeeds {
  int64_t train_images = 1;
  int64_t classes = 1;
};

/// Features of the images in DATA/train and DATA/val: of the request's network, or the normalised
/// pixels themselves. Parts that the request's cache holds are read, others computed and stored
/// there; several processes of one job share the work through the cache.
///
/// Classes are matched by their folders' names. Throws RequestError where a folder cannot be read,
/// there are fewer images or classes than `needs`, a training class has no image, or val holds a
/// class that train lacks, all before any feature is computed; a class that val lacks is a warning.
FeatureBanks folder_features(const TaskRequest& request, const FeatureNeeds& needs = {});

}  // namespace ibot::apps
