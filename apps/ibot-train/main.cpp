// ibot-train: pre-training without labels.
#include <CLI/App.hpp>
#include <iostream>

#include "common/run_main.h"
#include "ibot-train/train_arguments.h"
#include "ibot/config/yaml.h"

namespace {

int run(const ibot::apps::TrainArguments& arguments) {
  const auto requests = ibot::apps::train_requests(arguments);
  const bool only_tells = arguments.print_config || !arguments.explain.empty();
  IBOT_CHECK_AS(ibot::ConfigError, only_tells,
                "ibot-train: expected --print-config or --explain KEY; see --help");
  IBOT_CHECK_AS(ibot::ConfigError, requests.size() == 1,
                "ibot-train: expected one configuration to print, got a sweep of ",
                requests.size());
  const auto& config = requests.front().config;
  std::cout << (arguments.explain.empty() ? ibot::config::write_config(config)
                                          : ibot::config::explain(config, arguments.explain));
  return ibot::apps::kDone;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Pre-trains a vision transformer on images without labels, as iBOT does.",
               "ibot-train");
  ibot::apps::TrainArguments arguments;
  ibot::apps::add_train_arguments(app, arguments);
  return ibot::apps::run_main(app, argc, argv, [&] { return run(arguments); });
}
