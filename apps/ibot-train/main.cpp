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
#include "ibot-train/train_arguments.h"
#include "ibot/config/yaml.h"
#include "ibot/dist/group.h"
#include "ibot/dist/rendezvous.h"

namespace {

using ibot::apps::TrainRequest;

/// --print-config and --explain, which require a single configuration.
int tell(const ibot::apps::TrainArguments& arguments, const std::vector<TrainRequest>& requests) {
  IBOT_CHECK_AS(ibot::ConfigError, requests.size() == 1,
                "ibot-train: expected one configuration to print, got a sweep of ",
                requests.size());
  const auto& config = requests.front().config;
  refuse_key_of_evaluation(arguments.explain);
  std::cout << (arguments.explain.empty() ? ibot::config::write_config(config)
                                          : ibot::config::explain(config, arguments.explain));
  return ibot::apps::kDone;
}

/// One run, or those of a sweep in sequence until one is stopped or fails.
int run_all(const std::vector<TrainRequest>& requests, const ibot::apps::Ranks& ranks) {
  for (const auto& request : requests) {
    if (requests.size() > 1) ibot::apps::log_info("run " + request.output.string());
    const int status = ibot::apps::pretrain(request, ranks);
    if (status != ibot::apps::kDone) return status;
  }
  return ibot::apps::kDone;
}

int run(const ibot::apps::TrainArguments& arguments, const std::vector<std::string>& words) {
  const auto requests = ibot::apps::train_requests(arguments);
  if (arguments.print_config || !arguments.explain.empty()) return tell(arguments, requests);
  if (arguments.nproc) {
    return ibot::apps::run_local_ranks(*arguments.nproc, words, ibot::apps::kEndGrace);
  }
  if (arguments.quiet) ibot::apps::start_logging("warning");
  const auto& options = requests.front().config.train;
  const auto device =
      ibot::apps::choose_device("train.device", options.device, ibot::dist::launch_of_process());
  const ibot::apps::Ranks ranks{ibot::apps::join_ranks(device, options), device};
  ibot::apps::catch_stop_signals();  // from here on there may be something to save
  if (ranks.group.rank() != 0) ibot::apps::start_logging("warning");
  try {
    return run_all(requests, ranks);
  } catch (const ibot::dist::PeerError&) {
    throw;
  } catch (const std::exception& error) {
    ranks.group.report_failure(error.what());
    throw;
  }
}

}  // namespace

int main(int argc, char** argv) {
  ibot::apps::leave_on_stop_signals();  // while ranks wait for each other there is nothing to save
  CLI::App app("Pre-trains a vision transformer on images without labels, as iBOT does.",
               "ibot-train");
  ibot::apps::TrainArguments arguments;
  ibot::apps::add_train_arguments(app, arguments);
  return ibot::apps::run_main(
      app, argc, argv, [&] { return run(arguments, ibot::apps::without_nproc(argc, argv)); });
}
