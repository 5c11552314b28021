// The tasks that ibot-eval knows.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ibot-eval/weights.h"
#include "ibot/dist/group.h"
#include "ibot/eval/report.h"
#include "ibot/models/linear_classifiers.h"

namespace ibot::apps {

struct TaskRequest {
  Weights weights;
  std::filesystem::path data;
  torch::Device device = torch::kCPU;
  std::filesystem::path cache;   // where features are kept; empty: nowhere
  std::filesystem::path output;  // of the report, and of what a long task keeps; empty: nothing
  std::filesystem::path load_features;  // read instead of images and weights; empty: computed
  std::filesystem::path dump_features;  // written for other programs; empty: nowhere
  std::optional<models::LinearClassifiers> classifiers;  // tested by `linear` instead of trained
  dist::Group group = {};  // of the ranks that work on a task together
};

/// Prints its results and returns them; `weights` and `data` of the report are left to the caller.
using TaskFunction = eval::Report (*)(const TaskRequest& request);

/// What a task reads of the images: nothing but the frozen features of both sets or of the test
/// images, so that several processes can help, or the images themselves.
enum class Reads { kFeatures, kTestFeatures, kImages };

struct Task {
  std::string name;
  std::string text;
  TaskFunction run;
  Reads reads = Reads::kFeatures;
};

/// Every task, one file each.
const std::vector<Task>& tasks();

/// A report of `task` without metrics: its options, those of the features it reads, and what it
/// belongs to.
eval::Report feature_report(const std::string& task, const TaskRequest& request,
                            std::map<std::string, eval::OptionValue> options,
                            std::map<std::string, std::string> identity);

/// Weighted nearest neighbours: DATA/val classified by DATA/train.
eval::Report run_knn(const TaskRequest& request);
/// The sweep of linear classifiers on frozen features of random crops, or the test of those at
/// hand.
eval::Report run_linear(const TaskRequest& request);
/// Logistic regression on DATA/train, tested on DATA/val.
eval::Report run_logistic(const TaskRequest& request);
/// k-means of DATA/val against its classes.
eval::Report run_kmeans(const TaskRequest& request);
/// The prototypes of the projection head as clusters of DATA/val, against its classes.
eval::Report run_cluster(const TaskRequest& request);
/// End-to-end training on labels, and its variants for few labels and for other data sets.
eval::Report run_finetune(const TaskRequest& request);
eval::Report run_semi(const TaskRequest& request);
eval::Report run_transfer(const TaskRequest& request);

}  // namespace ibot::apps
