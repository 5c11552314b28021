// ibot-eval: what a pre-trained network's features are worth.

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "common/arguments.h"
#include "common/device.h"
#include "common/folder_lock.h"
#include "common/local_ranks.h"
#include "common/logging.h"
#include "common/output_folder.h"
#include "common/ranks.h"
#include "common/run_main.h"
#include "common/signals.h"
#include "ibot-eval/features.h"
#include "ibot-eval/linear_test.h"
#include "ibot-eval/task.h"
#include "ibot/config/yaml.h"
#include "ibot/dist/rendezvous.h"
#include "ibot/eval/page.h"
#include "ibot/evaluation/evaluations.h"
#include "ibot/io/file.h"

namespace ibot::apps {
namespace {

struct EvalArguments {
  std::vector<std::string> words;  // TASK [section.key=value ...]
  WeightsArguments weights;
  std::string data;
  std::string output;
  std::string cache;
  std::string load_features;
  std::string dump_features;
  std::string classifier;
  std::string trained;
  std::string device = "auto";
  std::string explain;
  std::optional<int64_t> nproc;
  bool print_config = false;
  bool list = false;
};

void add_eval_arguments(CLI::App& app, EvalArguments& arguments) {
  app.add_option("TASK", arguments.words,
                 "a task that --list names, then what differs from the configuration, each as "
                 "section.key=value")
      ->option_text("section.key=value ...");
  app.add_option("--weights", arguments.weights.file,
                 "a checkpoint of ibot-train, a .pth, or safetensors; random: the network that a "
                 "run would begin with; pixels: no network, the images themselves")
      ->option_text("FILE|random|pixels");
  app.add_option("--key", arguments.weights.key,
                 "which network of the file: teacher (default) or student of one that holds both, "
                 "else the key that it lies under")
      ->option_text("teacher|student|NAME");
  app.add_option("--config", arguments.weights.config,
                 "configuration, instead of the one that the checkpoint holds")
      ->option_text("CONFIG.yaml");
  app.add_option("--data", arguments.data,
                 "folder with the image folders train/ and val/, or the data set of the task; for "
                 "pictures any folder of images, or a file")
      ->option_text("DIR");
  app.add_option("--output", arguments.output,
                 "folder to write report.json and index.html to, and pictures")
      ->option_text("DIR");
  app.add_option("--cache", arguments.cache,
                 "folder that keeps features for the next evaluation (default: OUT/features)")
      ->option_text("DIR");
  app.add_option("--load-features", arguments.load_features,
                 "folder of trainfeat.pth, testfeat.pth, trainlabels.pth and testlabels.pth, "
                 "instead of --weights and --data")
      ->option_text("DIR");
  app.add_option("--dump-features", arguments.dump_features, "folder to write those files to")
      ->option_text("DIR");
  app.add_option("--classifier", arguments.classifier,
                 "linear classifiers that linear tests on val/ instead of training its own, and "
                 "robustness tests: checkpoint_KEY_linear.pth of the official program, or "
                 "linear.safetensors")
      ->option_text("FILE");
  app.add_option(
         "--trained", arguments.trained,
         "a segmentor that segment tests instead of training its own: segmentor.safetensors "
         "of an earlier run, or a .pth of mmsegmentation")
      ->option_text("FILE");
  app.add_option("--device", arguments.device, "where to compute (default: a GPU if there is one)")
      ->option_text("auto|cpu|cuda[:N]");
  add_nproc_argument(app, arguments.nproc);
  app.add_flag("--list", arguments.list, "list the tasks and exit");
  app.add_flag("--print-config", arguments.print_config,
               "print the configuration of all tasks with every key and exit");
  app.add_option("--explain", arguments.explain, "explain a key, or every key of a section")
      ->option_text("KEY");
}

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
  std::vector<std::string> overrides;
  for (const auto& word : arguments.words) {
    if (word.find('=') != std::string::npos) overrides.push_back(word);
  }
  const auto config = config::read_config<EvalConfig>(arguments.weights.config, overrides);
  std::cout << (arguments.explain.empty() ? config::write_config(config)
                                          : config::explain(config, arguments.explain));
  return kDone;
}

/// The folder of the results, made where it is missing and kept from other programs. A refusal
/// leaves none that it made.
class OutputFolder {
 public:
  explicit OutputFolder(std::filesystem::path folder) : folder_(std::move(folder)) {
    std::error_code error;
    made_ = std::filesystem::create_directories(folder_, error);
    IBOT_CHECK_AS(RequestError, !error, folder_.string(),
                  ": cannot create the folder: ", error.message());
    lock_.emplace(folder_);
  }
  ~OutputFolder() {
    std::error_code ignored;
    const std::filesystem::directory_iterator entries(folder_, ignored);
    if (!made_ || ignored || std::distance(begin(entries), end(entries)) > 1) return;
    std::filesystem::remove(folder_ / ".lock", ignored);
    std::filesystem::remove(folder_, ignored);
  }
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

 private:
  std::filesystem::path folder_;
  bool made_ = false;
  std::optional<FolderLock> lock_;
};

void write_report(const std::filesystem::path& folder, const eval::Report& report) {
  io::write_file(folder / "report.json", eval::to_json(report));
  eval::Page page("ibot-eval " + report.task);
  eval::add_report(page, report);
  io::write_file(folder / "index.html", page.html());
}

std::filesystem::path cache_folder(const EvalArguments& arguments) {
  if (!arguments.cache.empty() || arguments.output.empty()) return arguments.cache;
  return std::filesystem::path(arguments.output) / "features";
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

/// Which inputs are named, and whether the task can do with them.
void check_inputs(const EvalArguments& arguments, const Task& task) {
  const bool loads = !arguments.load_features.empty();
  for (const auto& [option, folder] : {std::pair{"--load-features", &arguments.load_features},
                                       {"--dump-features", &arguments.dump_features}}) {
    IBOT_CHECK_AS(ConfigError, folder->empty() || (task.reads && task.reads->features_alone()),
                  option, ": expected a task that reads features alone, got ", task.name);
  }
  IBOT_CHECK_AS(ConfigError,
                arguments.classifier.empty() || task.name == "linear" || task.name == "robustness",
                "--classifier: expected the task linear or robustness, got ", task.name);
  IBOT_CHECK_AS(ConfigError, arguments.trained.empty() || task.name == "segment",
                "--trained: expected the task segment, got ", task.name);
  if (loads) {
    IBOT_CHECK_AS(
        ConfigError,
        arguments.weights.file.empty() && arguments.data.empty() && arguments.dump_features.empty(),
        "--load-features: expected no --weights, --data or --dump-features beside it");
    return;
  }
  IBOT_CHECK_AS(ConfigError, !arguments.weights.file.empty() || !arguments.trained.empty(),
                "--weights: expected a checkpoint, random or pixels");
  IBOT_CHECK_AS(ConfigError, !arguments.data.empty(), "--data: expected a folder");
}

std::optional<models::LinearClassifiers> classifiers_in(const std::string& file) {
  if (file.empty()) return std::nullopt;
  auto classifiers = open_input([&] { return models::read_classifiers(file); });
  IBOT_CHECK_AS(RequestError, classifiers.has_value(), file,
                ": expected linear classifiers (linear.weight and linear.bias), found none");
  return classifiers;
}

TaskRequest request_of(const EvalArguments& arguments, const Task& task) {
  const auto device = choose_device("--device", arguments.device, dist::launch_of_process());
  auto weights = arguments.weights;
  weights.overrides.assign(arguments.words.begin() + 1, arguments.words.end());
  if (!arguments.load_features.empty()) weights.file = "pixels";
  if (weights.file.empty()) weights.file = arguments.trained;
  weights.only_shape = !arguments.trained.empty();
  TaskRequest request{load_weights(weights),   arguments.data,   device,
                      cache_folder(arguments), arguments.output, arguments.load_features,
                      arguments.dump_features};
  auto& config = request.weights.config;
  if (request.weights.backbone != nullptr) request.weights.backbone->to(request.device);
  request.classifiers = classifiers_in(arguments.classifier);
  request.trained = arguments.trained;
  config.features = request.classifiers ? features_of_classifiers(request)
                                        : eval::resolved(config.features, task.name == "linear",
                                                         config.run.backbone.arch);
  return request;
}

/// Rank 0 alone shows and writes.
void join(TaskRequest& request) {
  request.group = join_ranks(request.device, request.weights.config.run.train);
  if (request.group.rank() != 0) start_logging("warning");
}

int evaluate(const EvalArguments& arguments, const Task& task, const TaskRequest& request) {
  const bool leads = request.group.rank() == 0;
  for (const auto& folder : {request.output, request.cache, request.dump_features}) {
    if (!folder.empty() && leads) check_folder(folder);
  }
  std::optional<OutputFolder> output;
  if (!request.output.empty() && leads) output.emplace(request.output);
  eval::Report report = task.run(request);
  if (stop_requested()) return stop_status();
  report.weights = arguments.trained.empty() ? arguments.weights.file : arguments.trained;
  report.data = request.load_features.empty() ? arguments.data : arguments.load_features;
  if (output) write_report(arguments.output, report);
  request.group.barrier();  // a launcher may take the first rank to leave for the end of all
  return kDone;
}

int run(const EvalArguments& arguments, const std::vector<std::string>& words) {
  if (arguments.list) {
    list_tasks();
    return kDone;
  }
  if (arguments.print_config || !arguments.explain.empty()) return tell(arguments);
  IBOT_CHECK_AS(ConfigError, !arguments.words.empty(), "TASK: expected one; see --list");
  const Task& task = task_named(arguments.words.front());
  check_inputs(arguments, task);
  if (arguments.nproc) {
    return run_local_ranks(*arguments.nproc, words,
                           task.joint ? std::optional(kEndGrace) : std::nullopt);
  }
  auto request = request_of(arguments, task);
  if (task.joint) join(request);
  if (only_helps(task, request)) {
    if (request.load_features.empty()) task.help(request);
    return kDone;
  }
  try {
    return evaluate(arguments, task, request);
  } catch (const dist::PeerError&) {
    throw;
  } catch (const std::exception& error) {
    request.group.report_failure(error.what());  // other ranks are told
    throw;
  }
}

}  // namespace

eval::Report feature_report(const std::string& task, const TaskRequest& request,
                            std::map<std::string, eval::OptionValue> options,
                            std::map<std::string, std::string> identity) {
  const auto& config = request.weights.config;
  eval::Report report{task, {}, std::move(options), "", "", std::move(identity)};
  if (request.weights.backbone != nullptr) {
    report.options.merge(eval::option_values(config.features));
  }
  if (request.load_features.empty()) {
    report.options["resize_size"] = config.run.eval.resize_size;
    report.options["crop_size"] = config.run.eval.crop_size;
  }
  return report;
}

const std::vector<Task>& tasks() {
  static const std::vector<Task> all = [] {
    std::vector<Task> list;
    for (const auto& planned : evaluation::evaluations()) {
      const auto& about = planned.evaluation->about();
      const auto run = [name = about.name](const TaskRequest& request) {
        return run_evaluation(request, name);
      };
      std::function<void(const TaskRequest&)> help;
      if (about.reads.features() || about.reads.shared) {
        help = [name = about.name](const TaskRequest& request) {
          prepare_evaluation(request, name);
        };
      }
      list.push_back({about.name, about.text, run, about.reads, std::move(help)});
    }
    const auto train = [&](const char* name, const char* text, auto* run) {
      list.push_back({.name = name, .text = text, .run = run, .joint = true});
    };
    train("linear", "a sweep of linear classifiers on frozen features", run_linear);
    train("finetune", "end-to-end training on labels, with layer-wise decay", run_finetune);
    train("semi", "the same from a few labels and the projection head's first layer", run_semi);
    train("transfer", "the same on another data set", run_transfer);
    train("segment", "a class for every pixel: UPerNet or a linear head", run_segment);
    train("parts", "linear classifiers on the patches with the most attention", run_parts);
    list.push_back({.name = "robustness",
                    .text = "a linear classifier under occlusion, other backgrounds, corruptions",
                    .run = run_robustness,
                    .help = share_robustness});
    list.push_back({.name = "attention",
                    .text = "pictures of what the heads attend to",
                    .run = run_attention});
    list.push_back({.name = "correspondence",
                    .text = "patches matched between two views, counted and drawn",
                    .run = run_correspondence});
    list.push_back({.name = "patterns",
                    .text = "pictures of the patches that prototypes stand for",
                    .run = run_patterns,
                    .help = share_patterns});
    return list;
  }();
  return all;
}

}  // namespace ibot::apps

int main(int argc, char** argv) {
  ibot::apps::leave_on_stop_signals();  // what is done is in the cache, or the state of an epoch
  CLI::App app("Evaluates a pre-trained network: frozen features or fine-tuning.", "ibot-eval");
  ibot::apps::EvalArguments arguments;
  ibot::apps::add_eval_arguments(app, arguments);
  return ibot::apps::run_main(app, argc, argv, [&] {
    return ibot::apps::run(arguments, ibot::apps::without_nproc(argc, argv));
  });
}
