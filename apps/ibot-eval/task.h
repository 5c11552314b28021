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
  std::filesystem::path cache = {};  // where features are kept; empty: nowhere
  std::filesystem::path output =
      {};  // of the report, and of what a long task keeps; empty: nothing
  std::filesystem::path load_features = {};  // read instead of images and weights; empty: computed
  std::filesystem::path dump_features = {};  // written for other programs; empty: nowhere
  std::filesystem::path trained = {};     // network that is tested instead of trained; empty: none
  std::filesystem::path results = {};     // detections that are scored instead; empty: none
  std::filesystem::path embeddings = {};  // file that `embed` writes
  std::optional<models::LinearClassifiers> classifiers =
      {};                  // tested by `linear` instead of trained
  dist::Group group = {};  // of the ranks that work on a task together
};

struct Task {
  std::string name;
  std::string text;
  /// Returns its results, to be printed by the caller, who adds `weights` and `data`.
  std::function<eval::Report(const TaskRequest& request)> run;
  /// Of an evaluation of the library.
  std::optional<evaluation::Reads> reads = std::nullopt;
  /// What other processes of the job do for the one that runs: compute what it finds in the cache;
  /// none where it works alone or jointly.
  std::function<void(const TaskRequest& request)> help = nullptr;
  /// Whether several processes work on it as ranks, in step with each other.
  bool joint = false;
};

/// The evaluations of the library, those that train, and those of what is learnt.
const std::vector<Task>& tasks();

/// A report of `task` without metrics: its options, those of the features it reads, and what it
/// belongs to.
eval::Report feature_report(const std::string& task, const TaskRequest& request,
                            std::map<std::string, eval::OptionValue> options,
                            std::map<std::string, std::string> identity);

/// The teacher's projection head with its weights, on the request's device. Throws RequestError,
/// naming the task, where the weights lack it.
models::ProjectionHead head_of(const TaskRequest& request, const std::string& task);

/// The file that `embed` writes: `output` itself where its ending is that of a format, else one in
/// that folder. Throws ConfigError.
std::filesystem::path embedding_file(const std::string& output, const std::string& format);
/// Features of all images, written with their names.
eval::Report run_embed(const TaskRequest& request);
void share_embed(const TaskRequest& request);
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
/// A network that labels every pixel, trained or given, and its test.
eval::Report run_segment(const TaskRequest& request);
/// A detector, trained or given, and its test; or given detections.
eval::Report run_detect(const TaskRequest& request);
/// A linear classifier under occlusion, shuffling, other backgrounds and corruptions.
eval::Report run_robustness(const TaskRequest& request);
void share_robustness(const TaskRequest& request);
/// Pictures, or a video, of what the heads attend to.
eval::Report run_attention(const TaskRequest& request);
/// Which patch of one view is which of another, and pictures of it.
eval::Report run_correspondence(const TaskRequest& request);
/// The patches or images that prototypes stand for.
eval::Report run_patterns(const TaskRequest& request);
void share_patterns(const TaskRequest& request);
/// Linear probing of the patches with the most or least attention.
eval::Report run_parts(const TaskRequest& request);

}  // namespace ibot::apps
