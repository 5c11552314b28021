#include "ibot-eval/fine_tune.h"

#include <cstdio>
#include <iomanip>
#include <optional>

#include "common/labeled_images.h"
#include "common/logging.h"
#include "common/progress.h"
#include "common/run_main.h"
#include "common/signals.h"
#include "ibot-eval/fine_tune_run.h"
#include "ibot-eval/task_identity.h"
#include "ibot/config/yaml.h"
#include "ibot/data/labeled_loader.h"
#include "ibot/data/training_loader.h"

namespace ibot::apps {
namespace {

eval::ClassifierOptions classifier_options(const EvalConfig& config,
                                           const eval::FineTuneOptions& options, int64_t classes,
                                           int64_t patch_size) {
  const int64_t size = config.transform.size;
  IBOT_CHECK_AS(ConfigError, size % patch_size == 0,
                "transform.size: expected a multiple of backbone.patch_size ", patch_size, ", got ",
                size);
  auto backbone = config.run.backbone;
  backbone.image_size = size;
  backbone.drop_path = options.drop_path;
  return {.backbone = backbone,
          .classes = classes,
          .head_layers = options.head_layers,
          .projection = config.run.head,
          .head_scale = options.head_scale};
}

eval::FineTuneStep make_step(const TaskRequest& request, const std::string& task,
                             const eval::FineTuneOptions& options, int64_t classes) {
  const auto& weights = request.weights;
  IBOT_CHECK_AS(RequestError, weights.backbone != nullptr, task,
                ": expected a network to train, got pixels");
  auto classifier = std::make_shared<eval::Classifier>(
      classifier_options(weights.config, options, classes, weights.config.run.backbone.patch_size),
      static_cast<uint64_t>(options.seed));
  open_input([&] {
    classifier->load_backbone(*weights.backbone);
    classifier->load_projection(weights.head);
  });
  try {
    return {options, classifier, request.device};
  } catch (const OptionError& error) {
    throw ConfigError(task + "." + error.what());
  }
}

data::TrainingLoaderOptions loader_options(const TaskRequest& request,
                                           const eval::FineTuneOptions& options) {
  const auto& config = request.weights.config;
  return {.transform = config.transform,
          .decode = config.run.data.decode,
          .seed = static_cast<uint64_t>(options.seed),
          .batch_size = options.batch_size,
          .repeats = options.repeats,
          .batches_per_update = options.accumulation,
          .num_epochs = options.epochs,
          .workers = config.run.data.workers,
          .prefetch_batches = config.run.data.prefetch_batches,
          .pin_memory = request.device.is_cuda()};
}

/// Updates an epoch; the batches that make no whole update are left out of `loading`.
int64_t updates_per_epoch(data::TrainingLoaderOptions& loading, const data::Dataset& train,
                          const std::string& task, int64_t accumulation) {
  const auto batches = open_input([&] {
    try {
      return data::training_steps_per_epoch(train.size(), loading);
    } catch (const DataError& error) {
      throw DataError(task + "." + error.what());
    }
  });
  const auto updates = batches / accumulation;
  IBOT_CHECK_AS(RequestError, updates > 0, task, ".accumulation: expected at most the ", batches,
                " batches of an epoch, got ", accumulation);
  loading.max_steps_per_epoch = updates * accumulation;
  return updates;
}

eval::Accuracy test(const TaskRequest& request, const eval::FineTuneOptions& options,
                    const data::Dataset& images, eval::Classifier& classifier) {
  const auto& config = request.weights.config;
  const int64_t size = config.transform.size;
  const auto resized = static_cast<int64_t>(static_cast<double>(size) / options.test_crop_ratio);
  data::LabeledLoader loader(
      images,
      {.transform = {.resize_size = resized, .crop_size = size, .filter = options.test_filter},
       .decode = config.run.data.decode,
       .batch_size = std::max<int64_t>(options.batch_size * 3 / 2, 1),
       .workers = config.run.data.workers,
       .prefetch_batches = config.run.data.prefetch_batches,
       .pin_memory = request.device.is_cuda()});
  return eval::test_classifier(classifier, loader,
                               {config.run.augment.mean, config.run.augment.std}, request.device,
                               options.precision);
}

/// A learning rate that only rises is rarely meant.
void warn_of_warmup(const std::string& task, const eval::FineTuneOptions& options,
                    int64_t updates) {
  const auto steps = updates * options.epochs;
  const bool by_steps = options.schedule == eval::LrSchedule::kStep && options.warmup_steps > 0 &&
                        options.warmup_epochs > 0;
  const char* const consequence = "; the learning rate only rises, and its cosine never begins";
  if (by_steps && options.warmup_steps >= steps) {
    log_warning(concat(task, ".warmup_steps: expected less than the ", steps, " steps of ", task,
                       ".epochs ", options.epochs, ", got ", options.warmup_steps, consequence));
  } else if (!by_steps && options.warmup_epochs >= options.epochs) {
    log_warning(concat(task, ".warmup_epochs: expected less than ", task, ".epochs ",
                       options.epochs, ", got ", options.warmup_epochs, consequence));
  }
}

void tell(const eval::FineTuneEpoch& epoch, int64_t epochs) {
  auto line = concat("epoch ", epoch.epoch + 1, "/", epochs, "  loss ", std::fixed,
                     std::setprecision(4), epoch.loss);
  if (epoch.test) line += concat("  top-1 ", std::fixed, std::setprecision(2), epoch.test->top1);
  if (epoch.test_ema) {
    line += concat("  of the average ", std::fixed, std::setprecision(2), epoch.test_ema->top1);
  }
  log_info(line);
}

int64_t parameter_count(const eval::Classifier& classifier) {
  int64_t count = 0;
  for (const auto& parameter : classifier.parameters()) count += parameter.numel();
  return count;
}

eval::Report report_of(const TaskRequest& request, const std::string& task,
                       const eval::FineTuneOptions& options, const eval::FineTuneState& state,
                       int64_t classes, const Identity& identity) {
  const auto& config = request.weights.config;
  eval::Report report{.task = task,
                      .metrics = {{"top1", state.best_top1}},
                      .options = eval::option_values(options),
                      .weights = {},
                      .data = {},
                      .identity = identity.summary()};
  report.metrics["best_epoch"] = static_cast<double>(state.best_epoch);
  // Every one of five classes is among the first five.
  if (classes > 5) report.metrics["top5"] = state.best_top5;
  report.options.merge(eval::option_values(config.transform));
  report.options.merge(eval::option_values(config.mixing));
  report.options.merge(eval::option_values(config.dataset));
  std::printf("best epoch %lld: top-1 %.2f", static_cast<long long>(state.best_epoch + 1),
              state.best_top1);
  if (classes > 5) std::printf(", top-5 %.2f", state.best_top5);
  std::printf("\n");
  return report;
}

/// Trains to the end or to a signal.
void train(eval::FineTuner& tuner, const data::Dataset& images, data::TrainingLoaderOptions loading,
           const std::string& task, int64_t accumulation) {
  const auto per_epoch = tuner.state().steps_per_epoch;
  const auto first = tuner.state().step;
  loading.first_epoch = first / per_epoch;
  loading.first_step = first % per_epoch * accumulation;
  Progress progress({.label = task,
                     .unit = "steps",
                     .total = loading.num_epochs * per_epoch,
                     .first = first,
                     .item = "images",
                     .items_per_count = static_cast<double>(loading.batch_size * accumulation)});
  tuner.set_on_step([&](int64_t step, double loss) {
    progress.update(step, concat("loss ", std::fixed, std::setprecision(3), loss));
  });
  catch_stop_signals();
  tuner.set_stop(stop_requested);
  data::TrainingLoader loader(images, loading);
  tuner.run(loader);
  progress.finish();
}

}  // namespace

eval::Report fine_tune(const TaskRequest& request, const std::string& task,
                       const eval::FineTuneOptions& options) {
  const auto& config = request.weights.config;
  const LabeledImages images(request.data, config.dataset);
  auto loading = loader_options(request, options);
  const auto updates = updates_per_epoch(loading, images.train(), task, options.accumulation);
  auto step = make_step(request, task, options, images.classes());
  const bool kept = !request.output.empty();
  const auto identity = fine_tune_identity(request, images, task, options.head_layers > 0);
  eval::FineTuner tuner(
      {.mixing = config.mixing,
       .normalization = {config.run.augment.mean, config.run.augment.std},
       .steps_per_epoch = updates,
       .checkpoints = kept ? prepare_checkpoints(request.output) : std::filesystem::path(),
       .config = config::write_config(config, config::Comments::kNone),
       .identity = identity.text()},
      step);
  log_info(concat(images.train().size(), " training and ", images.test().size(), " test images of ",
                  images.classes(), " classes; ", updates, " steps an epoch on ", request.device));
  warn_of_warmup(task, options, updates);
  std::optional<FineTuneLog> log;
  if (kept) {
    resume_run(tuner, identity);
    log.emplace(request.output, tuner.state().step / updates, parameter_count(step.classifier()));
  }
  tuner.set_test([&](eval::Classifier& classifier) {
    return test(request, options, images.test(), classifier);
  });
  tuner.set_on_epoch([&](const eval::FineTuneEpoch& epoch) {
    tell(epoch, options.epochs);
    if (log) log->append(epoch);
  });
  train(tuner, images.train(), loading, task, options.accumulation);
  return report_of(request, task, options, tuner.state(), images.classes(), identity);
}

}  // namespace ibot::apps
