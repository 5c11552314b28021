// ibot-eval: what a pre-trained network's features are worth.

#include <CLI/App.hpp>
#include <algorithm>
#include <cstdio>
#include <iomanip>
#include <iostream>
#include <numeric>
#include <set>

#include "common/device.h"
#include "common/local_ranks.h"
#include "common/logging.h"
#include "common/output_folder.h"
#include "common/ranks.h"
#include "common/run_main.h"
#include "common/run_weights.h"
#include "common/signals.h"
#include "ibot-eval/comparison.h"
#include "ibot-eval/eval_arguments.h"
#include "ibot-eval/features.h"
#include "ibot-eval/keys.h"
#include "ibot-eval/linear_test.h"
#include "ibot-eval/result_folder.h"
#include "ibot-eval/settled.h"
#include "ibot-eval/task.h"
#include "ibot/dist/rendezvous.h"
#include "ibot/report/run_record.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

const Task& task_named(const std::string& name) {
  std::string known;
  for (const Task& task : tasks()) {
    if (task.name == name) return task;
    known += (known.empty() ? "" : " | ") + task.name;
  }
  throw ConfigError(concat("TASK: expected ", known, ", got ", name));
}

void list_tasks() {
  size_t width = 0;
  for (const Task& task : tasks()) width = std::max(width, task.name.size());
  for (const Task& task : tasks()) {
    std::printf("%-*s %s\n", static_cast<int>(width), task.name.c_str(), task.text.c_str());
  }
}

/// --print-config and --explain, which need neither a task nor weights.
int tell(const EvalArguments& arguments) {
  KeyRequest request{
      .config = arguments.config, .explain = arguments.explain, .markdown = arguments.markdown};
  for (const auto& word : arguments.words) {
    if (word.find('=') != std::string::npos) {
      request.overrides.push_back(word);
    } else {
      request.task = task_named(word).name;
    }
  }
  std::cout << told_of_keys(request);
  return kDone;
}

/// One of the weights, with what is its own.
struct Evaluated {
  std::string weights;
  std::string name;  // in a table
  fs::path output;   // of its report; empty: nowhere
};

std::vector<Evaluated> evaluated_ones(const EvalArguments& arguments) {
  const auto& weights = arguments.weights;
  if (weights.size() < 2) return {{weights.empty() ? "" : weights.front(), "", arguments.output}};
  std::vector<Evaluated> all;
  for (const auto& name : short_names(weights)) {
    const auto output = arguments.output.empty() ? fs::path() : fs::path(arguments.output) / name;
    all.push_back({weights[all.size()], name, output});
  }
  return all;
}

WeightsArguments weights_of(const EvalArguments& arguments, const Evaluated& one) {
  WeightsArguments weights{one.weights, "", arguments.config, overrides_of(arguments)};
  if (is_no_file(one.weights)) {
    const auto& all = arguments.weights;
    const auto file = std::find_if_not(all.begin(), all.end(), is_no_file);
    if (file != all.end()) weights.like = *file;
  }
  const auto& file = weights.like.empty() ? one.weights : weights.like;
  weights.key = arguments.key.empty() ? usual_key(file) : arguments.key;
  if (!arguments.load_features.empty() || !arguments.results.empty()) weights.file = "pixels";
  if (weights.file.empty()) weights.file = arguments.trained;
  weights.only_shape = !arguments.trained.empty();
  return weights;
}

/// Throws as load_weights does, for a file of another kind or a missing one.
void check_weights(const EvalArguments& arguments, const Evaluated& one) {
  auto weights = weights_of(arguments, one);
  weights.only_shape = true;
  load_weights(weights);
}

fs::path cache_folder(const EvalArguments& arguments) {
  if (!arguments.cache.empty() || arguments.output.empty()) return arguments.cache;
  return fs::path(arguments.output) / "features";
}

/// Whether this is one of several processes and not the one that evaluates.
bool only_helps(const Task& task, const TaskRequest& request) {
  const auto launch = dist::launch_of_process();
  if (launch.world == 1 || task.joint) return false;
  IBOT_CHECK_AS(RequestError, task.help != nullptr, task.name, ": expected one process, got ",
                launch.world, "; start it without a launcher");
  if (!request.load_features.empty()) return launch.rank > 0;
  IBOT_CHECK_AS(RequestError, !request.cache.empty(), "--cache: expected a folder that all ",
                launch.world, " processes see, to share features through");
  return launch.rank > 0;
}

std::optional<models::LinearClassifiers> classifiers_in(const std::string& file) {
  if (file.empty()) return std::nullopt;
  auto classifiers = open_input([&] { return models::read_classifiers(file); });
  IBOT_CHECK_AS(RequestError, classifiers.has_value(), file,
                ": expected linear classifiers (linear.weight and linear.bias), found none");
  return classifiers;
}

/// `embed` writes to a file, or as all others to a folder.
void set_outputs(const EvalArguments& arguments, const Task& task, const Evaluated& one,
                 TaskRequest& request) {
  request.output = one.output;
  request.cache = cache_folder(arguments);
  if (task.name != "embed") return;
  request.embeddings = embedding_file(one.output.string(), arguments.format);
  if (request.embeddings != one.output) return;
  request.output.clear();
  request.cache = arguments.cache;
}

/// The published features of `linear` are of four blocks, which a small network lacks.
void check_blocks(const EvalConfig& config) {
  const auto& depth = config.run.backbone.depth;
  const auto blocks = std::accumulate(depth.begin(), depth.end(), int64_t{0});
  const auto wanted = config.features.blocks;
  IBOT_CHECK_AS(ConfigError, depth.empty() || wanted <= blocks,
                "features.blocks: expected at most the ", blocks, " blocks of this network, got ",
                wanted, "; features.pooling=class features.blocks=", blocks, " takes all of them");
}

TaskRequest request_of(const EvalArguments& arguments, const Task& task, const Evaluated& one) {
  const auto device = choose_device("--device", arguments.device, dist::launch_of_process());
  TaskRequest request{.weights = load_weights(weights_of(arguments, one)),
                      .data = arguments.data,
                      .device = device,
                      .load_features = arguments.load_features,
                      .dump_features = arguments.dump_features,
                      .trained = arguments.trained,
                      .results = arguments.results};
  set_outputs(arguments, task, one, request);
  auto& config = request.weights.config;
  if (request.weights.backbone != nullptr) settle(task, device, config);
  if (request.weights.backbone != nullptr) request.weights.backbone->to(request.device);
  request.classifiers = classifiers_in(arguments.classifier);
  config.features = request.classifiers ? features_of_classifiers(request)
                                        : eval::resolved(config.features, task.name == "linear",
                                                         config.run.backbone);
  if (request.weights.backbone != nullptr) check_blocks(config);
  return request;
}

/// Rank 0 alone shows and writes.
dist::Group join(const TaskRequest& request) {
  auto group = join_ranks(request.device, request.weights.config.run.train);
  if (group.rank() != 0) start_logging("warning");
  return group;
}

/// The report of one of the weights; none where the run was stopped.
std::optional<eval::Report> evaluate(const EvalArguments& arguments, const Task& task,
                                     const TaskRequest& request, const std::string& weights) {
  const bool leads = request.group.rank() == 0;
  for (const auto& folder : {request.output, request.cache, request.dump_features}) {
    if (!folder.empty() && leads) check_folder(folder);
  }
  std::optional<ResultFolder> folder;
  if (!request.output.empty() && leads) folder.emplace(request.output);
  auto report = task.run(request);
  if (stop_requested()) return std::nullopt;
  report.weights = arguments.trained.empty() ? weights : arguments.trained;
  report.data = request.load_features.empty() ? arguments.data : arguments.load_features;
  stamp(report);
  if (folder) folder->write(report, request.device);
  request.group.barrier();  // a launcher may take the first rank to leave for the end of all
  return report;
}

/// The same, or the part of a process that only helps: none either.
std::optional<eval::Report> take_part(const EvalArguments& arguments, const Task& task,
                                      const TaskRequest& request, const std::string& weights) {
  if (only_helps(task, request)) {
    if (request.load_features.empty()) task.help(request);
    return std::nullopt;
  }
  try {
    return evaluate(arguments, task, request, weights);
  } catch (const dist::PeerError&) {
    throw;
  } catch (const std::exception& error) {
    request.group.report_failure(error.what());  // other ranks are told
    throw;
  }
}

/// The report's table, or its metrics where it has none.
void print(const eval::Report& report) {
  std::cout << report.table;
  if (!report.table.empty()) return;
  for (const auto& [metric, value] : report.metrics) {
    std::cout << concat(std::left, std::setw(16), metric, std::right, ' ', std::fixed,
                        std::setprecision(4), std::setw(12), value, '\n');
  }
}

/// One of several weights in a line: "runs/a: top1_k20 71.20".
void tell(const Evaluated& one, const eval::Report& report) {
  std::set<std::string> metrics;
  for (const auto& [metric, value] : report.metrics) metrics.insert(metric);
  const auto metric = report::main_metric(metrics);
  log_notice(metric.empty() ? one.name + ": done"
                            : concat(one.name, ": ", metric, ' ', std::fixed, std::setprecision(2),
                                     report.metrics.at(metric)));
}

/// Prints the table of several weights.
void compare(const EvalArguments& arguments, const Comparison& comparison) {
  if (comparison.rows() < 2) return;
  std::cout << comparison.text();
  if (!arguments.output.empty()) comparison.write(arguments.output);
}

int evaluate_all(const EvalArguments& arguments, const Task& task) {
  const auto all = evaluated_ones(arguments);
  // All are read before the first is evaluated: the last one's name may be wrong.
  for (const auto& one : all) {
    if (all.size() > 1) check_weights(arguments, one);
  }
  Comparison comparison(task.name);
  std::optional<dist::Group> group;
  for (const auto& one : all) {
    if (all.size() > 1) log_info(concat("evaluating ", one.weights));
    auto request = request_of(arguments, task, one);
    if (task.joint && !group) group = join(request);
    if (group) request.group = *group;
    const auto report = take_part(arguments, task, request, one.weights);
    if (stop_requested()) return stop_status();
    if (!report || request.group.rank() > 0) continue;
    all.size() > 1 ? tell(one, *report) : print(*report);
    comparison.add(one.name, *report);
  }
  compare(arguments, comparison);
  return kDone;
}

int run(EvalArguments arguments, const std::vector<std::string>& words) {
  if (arguments.list) {
    list_tasks();
    return kDone;
  }
  sort_words(arguments);
  if (arguments.print_config || !arguments.explain.empty()) return tell(arguments);
  IBOT_CHECK_AS(ConfigError, !arguments.words.empty(), "TASK: expected one; see --list");
  const Task& task = task_named(arguments.words.front());
  check_inputs(arguments, task);
  if (arguments.nproc) {
    return run_local_ranks(*arguments.nproc, words,
                           task.joint ? std::optional(kEndGrace) : std::nullopt);
  }
  return evaluate_all(arguments, task);
}

}  // namespace
}  // namespace ibot::apps

int main(int argc, char** argv) {
  // Until a task trains, all that is worth keeping is in the cache.
  ibot::apps::leave_on_stop_signals(
      "\nstopped without a result; with --output or --cache the features computed so far are kept, "
      "and the same command goes on\n");
  CLI::App app("Evaluates a pre-trained network: frozen features or fine-tuning.", "ibot-eval");
  ibot::apps::EvalArguments arguments;
  ibot::apps::add_eval_arguments(app, arguments);
  return ibot::apps::run_main(app, argc, argv, [&] {
    return ibot::apps::with_memory_remedy(
        "a smaller eval.batch_size or batch_size of the task (with its accumulation for the same "
        "results), or checkpoint_activations=true, needs less",
        [&] { return ibot::apps::run(arguments, ibot::apps::without_nproc(argc, argv)); });
  });
}
