// The command line of ibot-eval.
#pragma once

#include <CLI/App.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ibot-eval/task.h"
#include "ibot-eval/weights.h"

namespace ibot::apps {

struct EvalArguments {
  std::vector<std::string> words;    // TASK [section.key=value ...]
  std::vector<std::string> weights;  // files, folders of runs, "random" or "pixels"
  std::string key;                   // empty: the usual one of the file
  std::string config;
  std::string data;
  std::string output;
  std::string format;
  std::string cache;
  std::string load_features;
  std::string dump_features;
  std::string classifier;
  std::string trained;
  std::string results;
  std::string device = "auto";
  std::string explain;
  std::optional<int64_t> nproc;
  bool print_config = false;
  bool markdown = false;
  bool list = false;
};

void add_eval_arguments(CLI::App& app, EvalArguments& arguments);

/// Puts each word where it belongs: what the parser took for further weights although it is a task
/// or `section.key=value`, and the files of folders that are named for them. Throws ConfigError on
/// several tasks, RequestError on a folder without weights.
void sort_words(EvalArguments& arguments);

/// The words behind the task.
std::vector<std::string> overrides_of(const EvalArguments& arguments);

/// Throws ConfigError unless the inputs that `task` needs are named, and none that it cannot use.
void check_inputs(const EvalArguments& arguments, const Task& task);

}  // namespace ibot::apps
