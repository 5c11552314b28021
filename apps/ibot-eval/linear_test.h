// Linear classifiers of a file on test images, without training.
#pragma once

#include "ibot-eval/task.h"

namespace ibot::apps {

/// The features that the request's classifiers were trained on: those that the configuration names,
/// else the published choice or the first one of their width among the class tokens of the last
/// blocks and these with the mean patch token, which the log says. Throws RequestError where none
/// is of that width.
eval::FeatureOptions features_of_classifiers(const TaskRequest& request);

/// Tests each of the request's classifiers on DATA/val. Classes are numbered as in DATA/train, or
/// as in DATA/val where there is no such folder. The report is of the classifier that the file
/// calls best, else of the best on these images, and has those of all under the official names.
///
/// Source: validate_network of the reference's eval_linear_multi.py.
eval::Report test_classifiers(const TaskRequest& request);

}  // namespace ibot::apps
