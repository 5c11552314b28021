// ibot-bench: how fast the training step, its parts, the data pipeline, listings and k-NN are.
#include <CLI/App.hpp>

#include "common/arguments.h"
#include "common/device.h"
#include "common/run_main.h"
#include "ibot-bench/data_bench.h"
#include "ibot-bench/knn_bench.h"
#include "ibot-bench/listing_bench.h"
#include "ibot-bench/step_bench.h"
#include "ibot/config/yaml.h"

namespace {

struct BenchArguments {
  std::string folder;
  std::vector<std::string> words;
  std::string device = "auto";
  int steps = 10;
  ibot::apps::KnnBenchOptions knn;
  ibot::apps::ListingBenchOptions listing;
};

/// The configuration of the words; small batches and float32 unless they say otherwise.
ibot::config::RunConfig bench_config(const BenchArguments& arguments) {
  const auto split = ibot::apps::split_config_arguments(arguments.words);
  std::vector<std::string> overrides;
  if (!split.file) overrides = {"train.batch_size=4", "train.precision=fp32"};
  overrides.insert(overrides.end(), split.overrides.begin(), split.overrides.end());
  return ibot::config::read_config<ibot::config::RunConfig>(split.file.value_or(""), overrides);
}

void add_knn_arguments(CLI::App& command, BenchArguments& arguments) {
  auto& knn = arguments.knn;
  command.add_option("--rows", knn.rows, "Training features")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command.add_option("--width", knn.width, "Width of a feature")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command.add_option("--queries", knn.queries, "Test features")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command.add_option("--k", knn.k, "Numbers of neighbours")->delimiter(',');
  command.add_option("--steps", arguments.steps, "Timed runs, after one to warm up")
      ->check(CLI::Range(1, 1000000));
}

void add_listing_arguments(CLI::App& command, BenchArguments& arguments) {
  auto& listing = arguments.listing;
  command.add_option("FILE", listing.file, "A listing; drawn and written where there is none")
      ->required();
  command.add_option("--images", listing.images, "Images of a drawn listing")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command.add_option("--folders", listing.folders, "Folders of a drawn listing")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command.add_option("--steps", arguments.steps, "Timed runs, after one to warm up")
      ->check(CLI::Range(1, 1000000));
}

void add_config_arguments(CLI::App& command, BenchArguments& arguments, const char* repetitions) {
  command.add_option("config", arguments.words, "[CONFIG.yaml] [section.key=value ...]");
  command.add_option("--steps", arguments.steps, repetitions)->check(CLI::Range(1, 1000000));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Times the training step, its parts, the data pipeline, listings and k-NN.",
               "ibot-bench");
  app.require_subcommand(1);
  BenchArguments arguments;
  auto* step = app.add_subcommand("step", "Whole training steps on synthetic batches");
  auto* ops = app.add_subcommand("ops", "The parts of a training step");
  auto* knn = app.add_subcommand("knn", "k-NN classification of random features");
  add_knn_arguments(*knn, arguments);
  for (auto* command : {step, ops}) {
    add_config_arguments(*command, arguments, "Timed steps, after one to warm up");
  }
  for (auto* command : {step, ops, knn}) {
    command->add_option("--device", arguments.device, "auto, cpu, cuda or cuda:N");
  }
  auto* listing = app.add_subcommand("listing", "The names and the order of millions of images");
  add_listing_arguments(*listing, arguments);
  auto* data = app.add_subcommand("data", "Image files to normalised batches, on the CPU");
  data->add_option("folder", arguments.folder, "Root of an image folder, or tar shards")
      ->required();
  add_config_arguments(*data, arguments, "Timed passes over the folder, after one to warm up");

  return ibot::apps::run_main(app, argc, argv, [&] {
    if (listing->parsed()) {
      ibot::apps::bench_listing(arguments.listing, arguments.steps);
      return ibot::apps::kDone;
    }
    const auto config = bench_config(arguments);
    if (data->parsed()) {
      ibot::apps::bench_data(config, arguments.folder, arguments.steps);
      return ibot::apps::kDone;
    }
    const auto device = ibot::apps::choose_device("--device", arguments.device);
    if (knn->parsed()) {
      ibot::apps::bench_knn(arguments.knn, device, arguments.steps);
      return ibot::apps::kDone;
    }
    const auto bench = step->parsed() ? ibot::apps::bench_step : ibot::apps::bench_ops;
    bench(config, device, arguments.steps);
    return ibot::apps::kDone;
  });
}
