#include <cmath>
#include <cstdio>
#include <iomanip>
#include <optional>

#include "common/logging.h"
#include "common/run_main.h"
#include "common/signals.h"
#include "ibot-eval/segment_test.h"
#include "ibot-eval/task.h"
#include "ibot-eval/task_identity.h"
#include "ibot-eval/task_run.h"
#include "ibot-eval/training_record.h"
#include "ibot/config/yaml.h"
#include "ibot/dense/weights.h"
#include "ibot/eval/segment_tuner.h"
#include "ibot/loading/segmentation_loader.h"
#include "ibot/models/network.h"

namespace ibot::apps {
namespace {

using segmentation::Segmentor;

/// The two splits, checked before any work is done.
struct SegmentSets {
  data::SegmentationSet train;
  data::SegmentationSet val;
  std::vector<std::string> classes;
};

SegmentSets open_segment_sets(const TaskRequest& request) {
  const auto& config = request.weights.config;
  const auto& options = config.segment.set;
  return open_input([&] {
    SegmentSets sets{data::open_segmentation(request.data, options, data::Split::kTrain),
                     data::open_segmentation(request.data, options, data::Split::kVal),
                     data::segmentation_classes(request.data, options)};
    data::check_segmentation(sets.train, config.run.data.workers);
    data::check_segmentation(sets.val, config.run.data.workers);
    return sets;
  });
}

std::shared_ptr<Segmentor> make_network(const TaskRequest& request, int64_t classes) {
  const auto& config = request.weights.config;
  return with_section("segment", [&] {
    return eval::make_segmentor(
        eval::segmentor_options(config.segment, config.run.backbone, classes), config.segment.seed);
  });
}

data::SegmentationLoaderOptions loader_options(const TaskRequest& request,
                                               const SegmentSets& sets) {
  const auto& config = request.weights.config;
  const auto& options = config.segment;
  const auto& group = request.group;
  const auto share = (sets.train.size() + group.size() - 1) / group.size();
  const auto batches = share / options.batch_size;
  IBOT_CHECK_AS(RequestError, batches > 0, "segment.batch_size: expected at most the ", share,
                " training images of a rank, got ", options.batch_size);
  const auto updates = batches / options.accumulation;
  IBOT_CHECK_AS(RequestError, updates > 0, "segment.accumulation: expected at most the ", batches,
                " batches of an epoch, got ", options.accumulation);
  const auto total = options.iterations / options.accumulation;
  return {.transform = options.transform,
          .decode = config.run.data.decode,
          .seed = static_cast<uint64_t>(options.seed),
          .batch_size = options.batch_size,
          .steps_per_epoch = updates * options.accumulation,
          .share = {.rank = group.rank(), .world = group.size()},
          .num_epochs = (total + updates - 1) / updates,
          .workers = config.run.data.workers,
          .prefetch_batches = config.run.data.prefetch_batches,
          .pin_memory = request.device.is_cuda()};
}

/// UPerNet normalizes maps of one pixel: alone, an image leaves nothing.
void check_batch(const TaskRequest& request) {
  const auto& options = request.weights.config.segment;
  IBOT_CHECK_AS(RequestError,
                options.head == segmentation::HeadKind::kLinear ||
                    options.batch_size * request.group.size() > 1,
                "segment.batch_size: expected 2 or more images over all ranks, got 1; batch "
                "normalization of upernet needs them");
}

void load_backbone(const TaskRequest& request, Segmentor& network) {
  const auto report = open_input(
      [&] { return dense::load_weights_(network.backbone(), backbone_tensors(request.weights)); });
  log_info(models::summary(report));
}

/// The run, where it was left off if it was begun before.
std::unique_ptr<eval::SegmentTuner> make_tuner(const TaskRequest& request, const SegmentSets& sets,
                                               const std::shared_ptr<Segmentor>& network,
                                               const Identity& identity, int64_t updates) {
  const auto& config = request.weights.config;
  const auto checkpoints = checkpoint_folder(request);
  const auto checkpoint =
      find_checkpoint(checkpoints, identity, [] { return std::optional<train::Checkpoint>(); });
  auto tuner = with_section("segment", [&] {
    return std::make_unique<eval::SegmentTuner>(
        eval::SegmentTunerOptions{
            .segment = config.segment,
            .normalization = config.run.augment.normalization,
            .steps_per_epoch = updates,
            .home = run_home(request, checkpoints, identity, sets.train.size())},
        network, request.device, request.group);
  });
  resume(*tuner, checkpoint, config.segment.iterations / config.segment.accumulation);
  return tuner;
}

void tell(const TaskRequest& request, const SegmentSets& sets, int64_t iterations_per_epoch) {
  log_info(concat(sets.train.size(), " training and ", sets.val.size(), " test images of ",
                  sets.classes.size(), " classes; ", request.weights.config.segment.iterations,
                  " iterations, ", iterations_per_epoch, " an epoch,", where_it_runs(request)));
}

void train(const TaskRequest& request, const SegmentSets& sets,
           const std::shared_ptr<Segmentor>& network, const Identity& identity) {
  const auto& options = request.weights.config.segment;
  check_batch(request);
  auto loading = loader_options(request, sets);
  load_backbone(request, *network);
  tell(request, sets, loading.steps_per_epoch);
  const auto tuner =
      make_tuner(request, sets, network, identity, loading.steps_per_epoch / options.accumulation);
  TrainingRecord record(request, tuner->state(),
                        {.task = "segment",
                         .steps = options.iterations / options.accumulation,
                         .metrics = {{"miou", "mIoU"}, {"aacc", "aAcc"}}});
  tuner->set_observers(record.observers());
  tuner->set_test([&] { return test_segmentor(request, sets.val, *network, /*writes=*/false); });
  train_to_end(*tuner, request, [&] {
    const auto step = tuner->state().step * options.accumulation;
    loading.first_epoch = step / loading.steps_per_epoch;
    loading.first_step = step % loading.steps_per_epoch;
    data::SegmentationLoader loader(sets.train, loading);
    return tuner->run(loader);
  });
}

std::string percent(double share) {
  return std::isnan(share) ? "-" : concat(std::fixed, std::setprecision(2), 100 * share);
}

eval::Table class_table(const SegmentSets& sets, const metrics::SegmentationScores& scores) {
  eval::Table table{"classes", {"class", "IoU", "Acc"}, {}};
  for (size_t i = 0; i < sets.classes.size(); ++i) {
    table.rows.push_back({sets.classes[i], percent(scores.iou[i]), percent(scores.accuracy[i])});
  }
  return table;
}

std::string console_table(const eval::Table& classes, const metrics::SegmentationScores& scores) {
  std::ostringstream text;
  const auto line = [&](const std::string& name, const std::string& a, const std::string& b) {
    text << std::left << std::setw(24) << name << std::right << std::setw(8) << a << std::setw(8)
         << b << '\n';
  };
  line("class", "IoU", "Acc");
  for (const auto& row : classes.rows) line(row[0], row[1], row[2]);
  line("mean", percent(scores.mean_iou), percent(scores.mean_accuracy));
  text << "mIoU " << percent(scores.mean_iou) << ", mAcc " << percent(scores.mean_accuracy)
       << ", aAcc " << percent(scores.pixel_accuracy) << '\n';
  return text.str();
}

eval::Report report_of(const TaskRequest& request, const SegmentSets& sets,
                       const metrics::SegmentationScores& scores, const Identity& identity) {
  eval::Report report{.task = "segment",
                      .metrics = {{"miou", 100 * scores.mean_iou},
                                  {"macc", 100 * scores.mean_accuracy},
                                  {"aacc", 100 * scores.pixel_accuracy}},
                      .options = eval::option_values(request.weights.config.segment),
                      .weights = {},
                      .data = {},
                      .identity = identity.summary()};
  report.counts = {{"test_images", sets.val.size()},
                   {"classes", static_cast<int64_t>(sets.classes.size())}};
  if (request.trained.empty()) report.counts["train_images"] = sets.train.size();
  report.tables.push_back(class_table(sets, scores));
  report.table = console_table(report.tables.back(), scores);
  return report;
}

/// Trains the network and writes it.
void train_and_save(const TaskRequest& request, const SegmentSets& sets,
                    const std::shared_ptr<Segmentor>& network, const Identity& identity) {
  train(request, sets, network, identity);
  if (stop_requested() || request.group.rank() > 0 || request.output.empty()) return;
  const auto config = config::write_config(request.weights.config, config::Comments::kNone);
  dense::write_network(request.output / "segmentor.safetensors",
                       dense::network_file(*network, config));
}

/// The hash of what the run begins with; a trained network is loaded.
std::string begin(const TaskRequest& request, Segmentor& network) {
  if (request.trained.empty()) return request.weights.backbone_hash;
  open_input([&] { dense::load_network_(network, dense::read_network(request.trained)); });
  return tensors_hash(models::named_state(network));
}

}  // namespace

eval::Report run_segment(const TaskRequest& request) {
  const auto sets = open_segment_sets(request);
  IBOT_CHECK_AS(RequestError, request.weights.backbone != nullptr,
                "segment: expected a network, got pixels");
  const auto network = make_network(request, static_cast<int64_t>(sets.classes.size()));
  const auto identity = segment_identity(request, begin(request, *network), sets.train, sets.val);
  if (request.trained.empty()) train_and_save(request, sets, network, identity);
  if (stop_requested()) return {};
  network->to(request.device);
  network->eval();
  std::vector<eval::Figure> figures;
  const auto scores = test_segmentor(request, sets.val, *network, /*writes=*/true, &figures);
  auto report = report_of(request, sets, scores, identity);
  report.figures = std::move(figures);
  return report;
}

}  // namespace ibot::apps
