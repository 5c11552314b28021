// ibot-train: pre-training without labels.
#include <CLI/App.hpp>
#include <iostream>

#include "common/device.h"
#include "common/local_ranks.h"
#include "common/logging.h"
#include "common/ranks.h"
#include "common/run_main.h"
#include "common/signals.h"
#include "ibot-train/evaluation_keys.h"
#include "ibot-train/request_check.h"
#include "ibot-train/run_table.h"
#include "ibot-train/sweep.h"
#include "ibot-train/train_arguments.h"
#include "ibot/config/yaml.h"
#include "ibot/dist/group.h"
#include "ibot/dist/rendezvous.h"

namespace {

using ibot::apps::CompareArguments;
using ibot::apps::TrainArguments;
using ibot::apps::TrainRequest;

constexpr const char* kMemoryRemedy =
    "with the same results, a higher train.accumulate_steps, train.checkpoint_activations=true "
    "and, "
    "of several ranks, train.shard_optimizer=true need less; so do a smaller train.batch_size and "
    "fewer augment.local_crops";

/// --print-config and --explain, which require a single configuration.
int tell(const TrainArguments& arguments, const std::vector<TrainRequest>& requests) {
  IBOT_CHECK_AS(ibot::ConfigError, requests.size() == 1,
                "ibot-train: expected one configuration to print, got a sweep of ", requests.size(),
                "; choose one with --sweep-run");
  const auto& config = requests.front().config;
  ibot::apps::refuse_key_of_evaluation(arguments.explain);
  std::cout << (arguments.explain.empty() ? ibot::config::write_config(config)
                                          : ibot::config::explain(config, arguments.explain));
  return ibot::apps::kDone;
}

/// One run, or those of a sweep in sequence until one is stopped or fails.
int run_here(const std::vector<TrainRequest>& requests, const ibot::apps::Ranks& ranks) {
  for (const auto& request : requests) {
    if (requests.size() > 1) ibot::apps::log_notice("run " + request.output.string());
    const int status = ibot::apps::with_memory_remedy(
        kMemoryRemedy, [&] { return ibot::apps::pretrain(request, ranks); });
    if (status != ibot::apps::kDone) return status;
  }
  return ibot::apps::kDone;
}

int run_as_rank(const std::vector<TrainRequest>& requests) {
  const auto& options = requests.front().config.train;
  const auto device =
      ibot::apps::choose_device("train.device", options.device, ibot::dist::launch_of_process());
  const ibot::apps::Ranks ranks{ibot::apps::join_ranks(device, options), device};
  const bool leads = ranks.group.rank() == 0;
  ibot::apps::catch_stop_signals(leads);  // from here on there may be something to save
  if (!leads) ibot::apps::start_logging("warning");
  try {
    return run_here(requests, ranks);
  } catch (const ibot::dist::PeerError&) {
    throw;
  } catch (const std::exception& error) {
    ranks.group.report_failure(error.what());
    throw;
  }
}

int run_whole_sweep(const TrainArguments& arguments, const std::vector<TrainRequest>& requests,
                    std::vector<std::string> words) {
  const auto processes = arguments.nproc.value_or(1);
  ibot::apps::check_requests(requests, processes);
  return ibot::apps::run_sweep(requests, {.words = std::move(words),
                                          .parallel = arguments.parallel,
                                          .processes = processes,
                                          .output = ibot::apps::output_of(arguments)});
}

int run(const TrainArguments& arguments, int argc, char** argv) {
  auto requests = ibot::apps::train_requests(arguments);
  if (arguments.list) {
    ibot::apps::list_sweep(requests);
    return ibot::apps::kDone;
  }
  if (!arguments.sweep_run.empty()) {
    requests = {ibot::apps::chosen_run(requests, arguments.sweep_run)};
  }
  if (arguments.print_config || !arguments.explain.empty()) return tell(arguments, requests);
  const bool is_sweep = !requests.front().name.empty() && arguments.sweep_run.empty();
  // The ranks of a launcher are there for one run: they take the runs of a sweep in turn.
  if (is_sweep && ibot::dist::launch_of_process().world == 1) {
    return run_whole_sweep(arguments, requests, {argv, argv + argc});
  }
  if (arguments.nproc) {
    return ibot::apps::run_local_ranks(*arguments.nproc, ibot::apps::without_nproc(argc, argv),
                                       ibot::apps::kEndGrace);
  }
  return run_as_rank(requests);
}

int compare(const CompareArguments& arguments) {
  std::vector<std::filesystem::path> folders(arguments.folders.begin(), arguments.folders.end());
  const auto runs = ibot::report::read_runs(folders);
  IBOT_CHECK_AS(ibot::ConfigError, !runs.empty(),
                "compare: expected folders of runs, found none in ", arguments.folders.front());
  for (const auto& run : runs) {
    for (const auto& problem : run.problems) ibot::apps::log_warning(problem);
  }
  const auto table = ibot::apps::run_table(runs, ibot::apps::states_of(runs), arguments.sort);
  std::cout << (arguments.csv ? ibot::apps::as_csv(table) : ibot::apps::as_text(table));
  return ibot::apps::kDone;
}

}  // namespace

int main(int argc, char** argv) {
  ibot::apps::leave_on_stop_signals();  // while ranks wait for each other there is nothing to save
  CLI::App app("Pre-trains a vision transformer on images without labels, as iBOT does.",
               "ibot-train");
  TrainArguments arguments;
  CompareArguments compared;
  ibot::apps::add_train_arguments(app, arguments);
  const auto* compares = ibot::apps::add_compare_command(app, compared);
  return ibot::apps::run_main(app, argc, argv, [&] {
    return compares->parsed() ? compare(compared) : run(arguments, argc, argv);
  });
}
