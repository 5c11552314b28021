// The tasks that ibot-eval knows.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "ibot-eval/weights.h"
#include "ibot/eval/report.h"

namespace ibot::apps {

struct TaskRequest {
  Weights weights;
  std::filesystem::path data;
  torch::Device device = torch::kCPU;
};

/// Prints its results and returns them; `weights` and `data` of the report are left to the caller.
using TaskFunction = eval::Report (*)(const TaskRequest& request);

struct Task {
  std::string name;
  std::string text;
  TaskFunction run;
};

/// Every task, one file each.
const std::vector<Task>& tasks();

/// Weighted nearest neighbours: DATA/val classified by DATA/train.
eval::Report run_knn(const TaskRequest& request);

}  // namespace ibot::apps
