// ibot-train: pre-training without labels.
#include <CLI/App.hpp>
#include <iostream>

#include "common/run_main.h"
#include "ibot-train/train_arguments.h"
#include "ibot/config/yaml.h"

namespace {

int run(const ibot::apps::TrainArguments& arguments) {
  const ibot::apps::TrainRequest request = ibot::apps::train_request(arguments);
  if (!arguments.explain.empty()) {
    std::cout << ibot::config::explain(request.config, arguments.explain);
    return ibot::apps::kDone;
  }
  if (arguments.print_config) {
    std::cout << ibot::config::write_config(request.config);
    return ibot::apps::kDone;
  }
  throw ibot::ConfigError("ibot-train: expected --print-config or --explain KEY; see --help");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Pre-trains a vision transformer on images without labels, as iBOT does.",
               "ibot-train");
  ibot::apps::TrainArguments arguments;
  ibot::apps::add_train_arguments(app, arguments);
  return ibot::apps::run_main(app, argc, argv, [&] { return run(arguments); });
}
