#include "ibot-train/train_arguments.h"

#include <CLI/CLI.hpp>

#include "common/arguments.h"
#include "common/local_ranks.h"
#include "ibot-train/official_run.h"
#include "ibot/config/sweep.h"
#include "ibot/config/yaml.h"

namespace ibot::apps {

void add_train_arguments(CLI::App& app, TrainArguments& arguments) {
  app.add_option("CONFIG", arguments.words,
                 "a YAML file (default: built-in values), then overrides, each as "
                 "section.key=value; '{a, b}' for a value runs a sweep over its elements")
      ->option_text("section.key=value ...");
  app.add_option("--output", arguments.output,
                 "folder of the run; default: runs/ and CONFIG's name")
      ->option_text("DIR");
  app.add_option(
         "--resume", arguments.resume,
         "resume from the run's last checkpoint if there is one (default), from none, or from "
         "this file, which may be one of the official program; without CONFIG, its arguments are "
         "then the configuration")
      ->option_text("auto|none|PATH");
  app.add_option("--init-from", arguments.init_from,
                 "initial weights of both networks: a checkpoint, a "
                 ".pth or safetensors; the heads too if the file has them")
      ->option_text("FILE");
  app.add_option("--init-key,--key", arguments.init_key,
                 "which network of that file: teacher (default) or student if it holds both, "
                 "otherwise the key under which it is stored")
      ->option_text("teacher|student|NAME");
  add_nproc_argument(app, arguments.nproc);
  app.add_flag("--print-config", arguments.print_config,
               "print the configuration with every key and exit");
  app.add_option("--explain", arguments.explain, "explain a key, or every key of a section")
      ->option_text("KEY");
  app.add_flag("--dry-run", arguments.dry_run,
               "build everything, run two steps, print the cost of a full run");
  app.add_flag("--quiet", arguments.quiet, "no progress, and only warnings in the log");
}

namespace {

config::RunConfig configuration(const TrainArguments& arguments, const std::filesystem::path& file,
                                const std::vector<std::string>& overrides) {
  if (file.empty() && resumes_official(arguments.resume)) {
    return config_of_official(arguments.resume, overrides);
  }
  return config::read_config<config::RunConfig>(file, overrides);
}

}  // namespace

std::vector<TrainRequest> train_requests(const TrainArguments& arguments) {
  const ConfigArguments chosen = split_config_arguments(arguments.words);
  const std::filesystem::path file = chosen.file.value_or("");
  std::filesystem::path output = arguments.output;
  if (output.empty())
    output = std::filesystem::path("runs") / (file.empty() ? "default" : file.stem());
  std::vector<TrainRequest> requests;
  for (const config::SweepRun& run : config::expand_sweep(chosen.overrides)) {
    requests.push_back({.config = configuration(arguments, file, run.overrides),
                        .output = run.name.empty() ? output : output / run.name,
                        .resume = arguments.resume,
                        .init_from = arguments.init_from,
                        .init_key = arguments.init_key,
                        .dry_run = arguments.dry_run,
                        .quiet = arguments.quiet});
  }
  return requests;
}

}  // namespace ibot::apps
