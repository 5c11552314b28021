// ibot-bench: how fast the training step, its parts, the data pipeline, networks, listings, k-NN,
// rankings, label propagation and regions are.
#include <CLI/App.hpp>

#include "common/arguments.h"
#include "common/device.h"
#include "common/run_main.h"
#include "ibot-bench/box_bench.h"
#include "ibot-bench/data_bench.h"
#include "ibot-bench/data_stages.h"
#include "ibot-bench/kernel_bench.h"
#include "ibot-bench/knn_bench.h"
#include "ibot-bench/listing_bench.h"
#include "ibot-bench/network_bench.h"
#include "ibot-bench/profile_bench.h"
#include "ibot-bench/propagation_bench.h"
#include "ibot-bench/ranking_bench.h"
#include "ibot-bench/step_bench.h"
#include "ibot/config/yaml.h"

namespace {

using ibot::apps::BenchRuns;
using ibot::apps::Figures;

struct BenchArguments {
  std::string folder;
  bool stages = false;
  std::vector<std::string> words;
  std::string device = "auto";
  std::string json;
  int steps = 10;
  ibot::apps::KnnBenchOptions knn;
  ibot::apps::ListingBenchOptions listing;
  ibot::apps::PropagationBenchOptions propagation;
  ibot::apps::RankingBenchOptions ranking;
};

/// A subcommand and what it does.
struct Bench {
  CLI::App* command = nullptr;
  std::function<void(const BenchRuns&, Figures&)> run;
};

/// The configuration of the words; small batches and float32 unless they say otherwise.
ibot::config::RunConfig bench_config(const BenchArguments& arguments) {
  const auto split = ibot::apps::split_config_arguments(arguments.words);
  std::vector<std::string> overrides;
  if (!split.file) overrides = {"train.batch_size=4", "train.precision=fp32"};
  overrides.insert(overrides.end(), split.overrides.begin(), split.overrides.end());
  return ibot::config::read_config<ibot::config::RunConfig>(split.file.value_or(""), overrides);
}

CLI::App* knn_command(CLI::App& app, BenchArguments& arguments) {
  auto& knn = arguments.knn;
  auto* command = app.add_subcommand("knn", "k-NN classification of random features");
  command->add_option("--rows", knn.rows, "Training features")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command->add_option("--width", knn.width, "Width of a feature")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command->add_option("--queries", knn.queries, "Test features")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command->add_option("--k", knn.k, "Numbers of neighbors")->delimiter(',');
  return command;
}

CLI::App* propagation_command(CLI::App& app, BenchArguments& arguments) {
  auto& propagation = arguments.propagation;
  auto* command = app.add_subcommand("propagation", "Labels carried on through a video");
  command->add_option("--rows", propagation.rows, "Rows of patches")->check(CLI::Range(1, 1 << 14));
  command->add_option("--columns", propagation.columns, "Columns of patches")
      ->check(CLI::Range(1, 1 << 14));
  command->add_option("--width", propagation.width, "Width of a feature")
      ->check(CLI::Range(1, 1 << 20));
  return command;
}

CLI::App* ranking_command(CLI::App& app, BenchArguments& arguments) {
  auto& ranking = arguments.ranking;
  auto* command = app.add_subcommand("ranking", "A database of images ranked among distractors");
  const CLI::Range images(int64_t{1}, int64_t{1} << 40);
  command->add_option("--queries", ranking.queries, "Queries")->check(images);
  command->add_option("--database", ranking.database, "Images of the database")->check(images);
  command->add_option("--distractors", ranking.distractors, "Further images")->check(images);
  command->add_option("--width", ranking.width, "Width of a feature")
      ->check(CLI::Range(1, 1 << 20));
  return command;
}

CLI::App* listing_command(CLI::App& app, BenchArguments& arguments) {
  auto& listing = arguments.listing;
  auto* command = app.add_subcommand("listing", "The names and the order of millions of images");
  command->add_option("FILE", listing.file, "A listing; drawn and written where there is none")
      ->required();
  command->add_option("--images", listing.images, "Images of a drawn listing")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command->add_option("--folders", listing.folders, "Folders of a drawn listing")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  return command;
}

CLI::App* data_command(CLI::App& app, BenchArguments& arguments) {
  auto* command = app.add_subcommand("data", "Image files to normalized batches, on the CPU");
  command->add_option("folder", arguments.folder, "Root of an image folder, or tar shards")
      ->required();
  command->add_option("config", arguments.words, "[CONFIG.yaml] [section.key=value ...]");
  command->add_flag("--stages", arguments.stages,
                    "Time decoding, cropping, jitter, hue, blur and the rest each, on one thread");
  return command;
}

CLI::App* config_command(CLI::App& app, BenchArguments& arguments, const char* name,
                         const char* description) {
  auto* command = app.add_subcommand(name, description);
  command->add_option("config", arguments.words, "[CONFIG.yaml] [section.key=value ...]");
  return command;
}

std::vector<Bench> benches(CLI::App& app, BenchArguments& arguments) {
  using ibot::config::RunConfig;
  const auto configured = [&](const char* name, const char* description,
                              void (*run)(const RunConfig&, const BenchRuns&, Figures&)) {
    return Bench{config_command(app, arguments, name, description),
                 [&arguments, run](const BenchRuns& runs, Figures& figures) {
                   run(bench_config(arguments), runs, figures);
                 }};
  };
  return {
      configured("step", "Whole training steps on synthetic batches", ibot::apps::bench_step),
      configured("curve", "The losses of a short run on synthetic batches",
                 ibot::apps::bench_curve),
      configured("ops", "The parts of a training step", ibot::apps::bench_ops),
      configured("kernels", "Own kernels beside LibTorch's operators", ibot::apps::bench_kernels),
      configured("profile", "A training step's time by kind of operation",
                 ibot::apps::bench_profile),
      configured("features", "Features of random images", ibot::apps::bench_features),
      configured("fine-tune", "End-to-end training on random images", ibot::apps::bench_fine_tune),
      configured("segment", "Training of UPerNet on random images", ibot::apps::bench_segment),
      {knn_command(app, arguments),
       [&](const BenchRuns& runs, Figures& figures) {
         ibot::apps::bench_knn(arguments.knn, runs, figures);
       }},
      {propagation_command(app, arguments),
       [&](const BenchRuns& runs, Figures& figures) {
         ibot::apps::bench_propagation(arguments.propagation, runs, figures);
       }},
      {ranking_command(app, arguments),
       [&](const BenchRuns& runs, Figures& figures) {
         ibot::apps::bench_ranking(arguments.ranking, runs, figures);
       }},
      {app.add_subcommand("regions", "Features of regions, and their gradient"),
       ibot::apps::bench_regions},
      {app.add_subcommand("suppression", "Suppression of overlapping boxes"),
       ibot::apps::bench_suppression},
      {listing_command(app, arguments),
       [&](const BenchRuns& runs, Figures& figures) {
         ibot::apps::bench_listing(arguments.listing, runs.repetitions, figures);
       }},
      {data_command(app, arguments), [&](const BenchRuns& runs, Figures& figures) {
         const auto bench =
             arguments.stages ? ibot::apps::bench_data_stages : ibot::apps::bench_data;
         bench(bench_config(arguments), arguments.folder, runs.repetitions, figures);
       }}};
}

std::string command_line(int argc, char** argv) {
  std::string line = "ibot-bench";
  for (int i = 1; i < argc; ++i) line += std::string(" ") + argv[i];
  return line;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Times the training step, its parts, the data pipeline, networks, listings, k-NN, rankings, "
      "label propagation and regions.",
      "ibot-bench");
  app.require_subcommand(1);
  BenchArguments arguments;
  const auto all = benches(app, arguments);
  for (const auto& [command, run] : all) {
    command
        ->add_option("--steps", arguments.steps,
                     "Timed steps, runs or passes over a folder, after one to warm up")
        ->check(CLI::Range(1, 1000000));
    command->add_option("--json", arguments.json,
                        "File for all figures with command, version and machine");
    const auto name = command->get_name();
    if (name == "listing" || name == "data") continue;
    command->add_option("--device", arguments.device, "auto, cpu, cuda or cuda:N");
  }
  return ibot::apps::run_main(app, argc, argv, [&] {
    Figures figures(command_line(argc, argv), arguments.json);
    const auto chosen = std::find_if(all.begin(), all.end(),
                                     [](const Bench& bench) { return bench.command->parsed(); });
    const bool on_host = app.got_subcommand("listing") || app.got_subcommand("data");
    const auto device = on_host ? torch::Device(torch::kCPU)
                                : ibot::apps::choose_device("--device", arguments.device);
    chosen->run({.device = device, .repetitions = arguments.steps}, figures);
    figures.finish();
    return ibot::apps::kDone;
  });
}
