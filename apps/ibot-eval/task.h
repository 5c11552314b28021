// The tasks that ibot-eval knows.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ibot-eval/weights.h"
#include "ibot/dist/group.h"
#include "ibot/eval/report.h"
#include "ibot/evaluation/evaluation.h"
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

struct Task {
  std::string name;
  std::string text;
  /// Prints its results and returns them; `weights` and `data` of the report are left to the
  /// caller.
  std::function<eval::Report(const TaskRequest& request)> run;
  /// Of an evaluation of the library; none of tasks that train on the images themselves.
  std::optional<evaluation::Reads> reads = std::nullopt;
};

/// The evaluations of the library, then those that train.
const std::vector<Task>& tasks();

/// A report of `task` without metrics: its options, those of the features it reads, and what it
/// belongs to.
eval::Report feature_report(const std::string& task, const TaskRequest& request,
                            std::map<std::string, eval::OptionValue> options,
                            std::map<std::string, std::string> identity);

/// The sweep of linear classifiers on frozen features of random crops, or the test of those at
/// hand.
eval::Report run_linear(const TaskRequest& request);
/// An evaluation of the library, by its name.
eval::Report run_evaluation(const TaskRequest& request, const std::string& name);
/// Its part of an evaluation's work, for the process that evaluates to find in the cache.
void prepare_evaluation(const TaskRequest& request, const std::string& name);
/// End-to-end training on labels, and its variants for few labels and for other data sets.
eval::Report run_finetune(const TaskRequest& request);
eval::Report run_semi(const TaskRequest& request);
eval::Report run_transfer(const TaskRequest& request);

}  // namespace ibot::apps
