#include "ibot-train/train_arguments.h"

#include <CLI/CLI.hpp>

#include "common/arguments.h"
#include "common/local_ranks.h"
#include "common/run_weights.h"
#include "ibot-train/official_run.h"
#include "ibot/config/sweep.h"
#include "ibot/config/yaml.h"

namespace ibot::apps {

void add_train_arguments(CLI::App& app, TrainArguments& arguments) {
  app.add_option(
         "CONFIG", arguments.words,
         "a YAML file (default: built-in values), then overrides, each as "
         "section.key=value; '{a, b}' for a value runs a sweep over its elements, as the section "
         "`sweep` of CONFIG does")
      ->option_text("section.key=value ...");
  app.add_option("--output", arguments.output,
                 "folder of the run; default: runs/ and CONFIG's name")
      ->option_text("DIR");
  app.add_option(
         "--resume", arguments.resume,
         "resume from the run's last checkpoint if there is one (default), from none, or from "
         "this file or run, which may be one of the official program; without CONFIG, its "
         "arguments are then the configuration")
      ->option_text("auto|none|PATH");
  app.add_option("--init-from", arguments.init_from,
                 "initial weights of both networks: a checkpoint, a "
                 ".pth or safetensors, or a run; the heads too if the file has them")
      ->option_text("FILE|RUN");
  app.add_option("--init-key,--key", arguments.init_key,
                 "which network of that file: teacher (default) or student if it holds both, "
                 "otherwise the key under which it is stored")
      ->option_text("teacher|student|NAME");
  app.add_option("--device", arguments.device, "where to compute; default: the key train.device")
      ->option_text("auto|cpu|cuda[:N]");
  add_nproc_argument(app, arguments.nproc);
  app.add_flag("--print-config", arguments.print_config,
               "print the configuration with every key and exit");
  app.add_option("--explain", arguments.explain, "explain a key, or every key of a section")
      ->option_text("KEY");
  app.add_flag("--dry-run", arguments.dry_run,
               "build everything, run two steps, print the cost of a full run");
  app.add_flag("--json", arguments.json, "print what --dry-run finds as JSON");
  app.add_flag("--list", arguments.list, "print index, name and values of a sweep's runs and exit");
  app.add_option("--sweep-run", arguments.sweep_run,
                 "run one of a sweep: by index or name; array: by SLURM_ARRAY_TASK_ID")
      ->option_text("N|NAME|array");
  app.add_option("--parallel", arguments.parallel,
                 "runs of a sweep at a time, which share threads and GPUs; default: 1")
      ->check(CLI::Range(1, 1024))
      ->option_text("N");
}

CLI::App* add_compare_command(CLI::App& app, CompareArguments& arguments) {
  auto* command =
      app.add_subcommand("compare", "a table of runs: keys that differ, results, the best first");
  command->add_option("DIR", arguments.folders, "folders of runs, or of sweeps")
      ->required()
      ->option_text("...");
  command
      ->add_option("--sort", arguments.sort, "result to sort by; default: the best top1, or loss")
      ->option_text("RESULT");
  command->add_flag("--csv", arguments.csv, "all results, as CSV");
  return command;
}

namespace {

/// "auto", "none" or a file.
std::string resumed(const std::string& resume) {
  return resume == "auto" || resume == "none" ? resume : weights_in(resume);
}

/// One run, as a sweep's overrides describe it.
config::RunConfig configuration(const TrainArguments& arguments,
                                const std::vector<config::ConfigText>& files,
                                const std::vector<std::string>& overrides) {
  const auto resume = resumed(arguments.resume);
  auto config = files.empty() && resumes_official(resume)
                    ? config_of_official(resume, overrides)
                    : config::layered_config<config::RunConfig>(files, overrides);
  if (!arguments.init_from.empty()) config.train.init_from = arguments.init_from;
  config.train.init_from = weights_in(config.train.init_from);
  if (!arguments.device.empty()) config.train.device = arguments.device;
  if (!arguments.init_key.empty()) config.train.init_key = arguments.init_key;
  return config;
}

}  // namespace

std::filesystem::path output_of(const TrainArguments& arguments) {
  if (!arguments.output.empty()) return arguments.output;
  const auto file = split_config_arguments(arguments.words).file;
  return std::filesystem::path("runs") / (file ? file->stem() : "default");
}

std::vector<TrainRequest> train_requests(const TrainArguments& arguments) {
  const ConfigArguments chosen = split_config_arguments(arguments.words);
  const auto files = config::read_config_files(chosen.file.value_or(""));
  const auto output = output_of(arguments);
  config::RunConfig scratch;
  const auto runs = config::expand_sweep(config::sections_of(scratch), files, chosen.overrides);
  std::vector<TrainRequest> requests;
  for (const config::SweepRun& run : runs) {
    requests.push_back({.config = configuration(arguments, files, run.overrides),
                        .output = run.name.empty() ? output : output / run.name,
                        .resume = resumed(arguments.resume),
                        .dry_run = arguments.dry_run,
                        .json = arguments.json,
                        .name = run.name,
                        .swept = run.swept});
  }
  return requests;
}

}  // namespace ibot::apps
