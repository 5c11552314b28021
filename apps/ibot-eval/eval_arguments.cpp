#include "ibot-eval/eval_arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "common/arguments.h"
#include "common/local_ranks.h"
#include "common/run_weights.h"
#include "ibot/base/error.h"

namespace ibot::apps {
namespace {

namespace fs = std::filesystem;

void add_inputs(CLI::App& app, EvalArguments& arguments) {
  app.add_option("TASK", arguments.words,
                 "a task that --list names, then what differs from the configuration, each as "
                 "section.key=value")
      ->option_text("section.key=value ...");
  app.add_option("--weights", arguments.weights,
                 "a checkpoint of ibot-train or the folder of its run, a .pth, or safetensors; "
                 "random: the network that a run would begin with; pixels: no network, the images "
                 "themselves; several: one table of their results")
      ->option_text("FILE|DIR|random|pixels ...");
  app.add_option("--key", arguments.key,
                 "which network of the file: teacher (default) or student of one that holds both, "
                 "else the key that it lies under")
      ->option_text("teacher|student|NAME");
  app.add_option("--config", arguments.config,
                 "configuration, instead of the one that the checkpoint holds")
      ->option_text("CONFIG.yaml");
  app.add_option("--data", arguments.data,
                 "folder with the image folders train/ and val/, or the data set of the task; for "
                 "embed and pictures any folder of images, or a file")
      ->option_text("DIR");
}

void add_outputs(CLI::App& app, EvalArguments& arguments) {
  app.add_option("--output", arguments.output,
                 "folder to write report.json and report.html to, and pictures; of several weights "
                 "a folder for each; for embed also the file of the features")
      ->option_text("DIR");
  app.add_option("--format", arguments.format,
                 "of the features that embed writes, where the name of --output does not tell: "
                 "safetensors (default), npy or csv")
      ->option_text("FORMAT");
  app.add_option("--cache", arguments.cache,
                 "folder that keeps features for the next evaluation (default: OUT/features)")
      ->option_text("DIR");
  app.add_option("--dump-features", arguments.dump_features,
                 "folder to write trainfeat.pth, testfeat.pth, trainlabels.pth and testlabels.pth "
                 "to")
      ->option_text("DIR");
}

void add_other_inputs(CLI::App& app, EvalArguments& arguments) {
  app.add_option("--load-features", arguments.load_features,
                 "folder of such files, instead of --weights and --data")
      ->option_text("DIR");
  app.add_option("--classifier", arguments.classifier,
                 "linear classifiers that linear tests on val/ instead of training its own, and "
                 "robustness tests: checkpoint_KEY_linear.pth of the official program, or "
                 "linear.safetensors")
      ->option_text("FILE");
  app.add_option("--trained", arguments.trained,
                 "a network that segment or detect tests instead of training its own: "
                 "segmentor.safetensors or detector.safetensors of an earlier run or its folder, "
                 "or a .pth of mmsegmentation or mmdetection")
      ->option_text("FILE");
  app.add_option("--results", arguments.results,
                 "detections in COCO's format that detect scores, instead of --weights")
      ->option_text("FILE.json");
}

bool names_task(const std::string& word) {
  const auto& all = tasks();
  return std::any_of(all.begin(), all.end(), [&](const Task& task) { return task.name == word; });
}

/// Whether the parser took for weights what is none.
bool is_word(const std::string& weights) {
  std::error_code unknown;
  const bool other = names_task(weights) || weights.find('=') != std::string::npos;
  return other && !fs::exists(weights, unknown);
}

/// The task first: it may have come after an override.
void put_task_first(std::vector<std::string>& words) {
  const auto task = std::find_if(words.begin(), words.end(), names_task);
  if (task == words.end()) return;
  const auto second = std::find_if(task + 1, words.end(), names_task);
  IBOT_CHECK_AS(ConfigError, second == words.end(), "TASK: expected one, got ", *task, " and ",
                *second,
                "; run ibot-eval once for each: with the same --cache DIR they share "
                "their features");
  if (words.front().find('=') != std::string::npos) std::rotate(words.begin(), task, task + 1);
}

void check_task_of(const char* option, const std::string& value, const Task& task,
                   const std::vector<std::string>& wanted) {
  if (value.empty() || std::find(wanted.begin(), wanted.end(), task.name) != wanted.end()) return;
  std::string names;
  for (const auto& name : wanted) names += (names.empty() ? "" : " or ") + name;
  throw ConfigError(concat(option, ": expected the task ", names, ", got ", task.name));
}

}  // namespace

void add_eval_arguments(CLI::App& app, EvalArguments& arguments) {
  add_inputs(app, arguments);
  add_outputs(app, arguments);
  add_other_inputs(app, arguments);
  app.add_option("--device", arguments.device, "where to compute (default: a GPU if there is one)")
      ->option_text("auto|cpu|cuda[:N]");
  add_nproc_argument(app, arguments.nproc);
  app.add_flag("--list", arguments.list, "list the tasks and exit");
  app.add_flag("--print-config", arguments.print_config,
               "print the configuration with every key and exit; after a TASK, the sections that "
               "it reads");
  app.add_flag("--markdown", arguments.markdown, "print it as tables in Markdown");
  app.add_option("--explain", arguments.explain, "explain a key, or every key of a section")
      ->option_text("KEY");
}

void sort_words(EvalArguments& arguments) {
  auto& weights = arguments.weights;
  const auto words = std::stable_partition(weights.begin(), weights.end(),
                                           [](const auto& each) { return !is_word(each); });
  arguments.words.insert(arguments.words.end(), words, weights.end());
  weights.erase(words, weights.end());
  put_task_first(arguments.words);
  check_stated_once(arguments.words);
  for (auto& each : weights) each = weights_in(each);
  if (!arguments.trained.empty()) arguments.trained = network_in(arguments.trained);
  if (!arguments.classifier.empty())
    arguments.classifier = classifier_file_in(arguments.classifier);
}

std::vector<std::string> overrides_of(const EvalArguments& arguments) {
  return {arguments.words.begin() + 1, arguments.words.end()};
}

void check_inputs(const EvalArguments& arguments, const Task& task) {
  const bool loads = !arguments.load_features.empty();
  for (const auto& [option, folder] : {std::pair{"--load-features", &arguments.load_features},
                                       {"--dump-features", &arguments.dump_features}}) {
    IBOT_CHECK_AS(ConfigError, folder->empty() || (task.reads && task.reads->features_alone()),
                  option, ": expected a task that reads features alone, got ", task.name);
  }
  check_task_of("--classifier", arguments.classifier, task, {"linear", "robustness"});
  check_task_of("--trained", arguments.trained, task, {"segment", "detect"});
  check_task_of("--results", arguments.results, task, {"detect"});
  check_task_of("--format", arguments.format, task, {"embed"});
  if (loads) {
    IBOT_CHECK_AS(
        ConfigError,
        arguments.weights.empty() && arguments.data.empty() && arguments.dump_features.empty(),
        "--load-features: expected no --weights, --data or --dump-features beside it");
    return;
  }
  IBOT_CHECK_AS(
      ConfigError,
      !arguments.weights.empty() || !arguments.trained.empty() || !arguments.results.empty(),
      "--weights: expected a checkpoint, the folder of a run, random or pixels");
  IBOT_CHECK_AS(ConfigError, !arguments.data.empty(), "--data: expected a folder");
  IBOT_CHECK_AS(ConfigError,
                arguments.weights.size() < 2 ||
                    (arguments.dump_features.empty() && arguments.classifier.empty() &&
                     arguments.trained.empty() && arguments.results.empty()),
                "--weights: expected one beside --dump-features, --classifier, --trained or "
                "--results, got ",
                arguments.weights.size());
}

}  // namespace ibot::apps
