// Features of an image folder, with progress.
#pragma once

#include <string>

#include "ibot-eval/task.h"
#include "ibot/eval/features.h"

namespace ibot::apps {

/// Features of the images in the folder `name` of the request's data: of its network, or the
/// normalised pixels themselves. Throws RequestError where the folder cannot be read.
eval::FeatureBank folder_features(const TaskRequest& request, const std::string& name);

}  // namespace ibot::apps
