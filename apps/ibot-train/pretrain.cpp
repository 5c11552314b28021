#include "ibot-train/pretrain.h"

#include <algorithm>
#include <memory>

#include "common/data_notes.h"
#include "common/early_end.h"
#include "common/folder_lock.h"
#include "common/loader_of_config.h"
#include "common/logging.h"
#include "common/run_main.h"
#include "common/run_report.h"
#include "common/signals.h"
#include "common/step_of_config.h"
#include "ibot-train/bad_sample_log.h"
#include "ibot-train/dry_run.h"
#include "ibot-train/in_run_evaluations.h"
#include "ibot-train/run_console.h"
#include "ibot-train/run_folder.h"
#include "ibot/config/schedule_fit.h"
#include "ibot/config/yaml.h"
#include "ibot/io/file.h"
#include "ibot/loading/open_dataset.h"
#include "ibot/models/weights.h"
#include "ibot/train/run_log.h"
#include "ibot/train/trainer.h"

namespace ibot::apps {
namespace {

/// Loader options of this rank, starting at the next step.
data::MultiCropLoaderOptions rank_loader_options(const config::RunConfig& config,
                                                 const Ranks& ranks, int64_t next_step,
                                                 int64_t steps_per_epoch) {
  auto options = loader_options(config);
  options.share = {ranks.group.rank(), ranks.group.size(),
                   steps_per_epoch * config.train.batch_size};
  options.first_epoch = next_step / steps_per_epoch;
  options.first_step = next_step % steps_per_epoch;
  options.pin_memory = ranks.device.is_cuda();
  return options;
}

train::TrainerOptions trainer_options(const TrainRequest& request, int64_t ranks, int64_t images,
                                      int64_t steps_per_epoch) {
  const auto& config = request.config;
  return {.train = config.train,
          .schedule = config.schedule,
          .mask_start_epoch = config.mask.start_epoch,
          .length = {config.train.epochs, steps_per_epoch, config.train.batch_size * ranks},
          .normalization = config.augment.normalization,
          .flops_per_image = useful_step_flops(config),
          .images = images,
          .checkpoints = request.output / "checkpoints",
          .replay = request.output / "replay",
          .config = config::write_config(config)};
}

std::unique_ptr<data::Dataset> open_images(const config::RunConfig& config) {
  IBOT_CHECK_AS(ConfigError, !config.data.path.empty(),
                "data.path: expected the root of an image folder, got nothing; add data.path=DIR");
  return open_input([&] { return data::open_images(config.data.path, data::Labels::kIgnored); });
}

void announce(const config::RunConfig& config, const data::Dataset& images, int64_t steps_per_epoch,
              const Ranks& ranks) {
  if (ranks.group.rank() == 0) log_notes(config.data.path, images);
  const auto count = ranks.group.size();
  const auto classes = has_classes(images) ? concat("in ", images.class_names().size(), " classes")
                                           : std::string("without classes");
  log_info(concat(images.size(), " images ", classes, "; ", steps_per_epoch, " steps per epoch on ",
                  count == 1 ? "" : std::to_string(count) + " ranks, this one on ", ranks.device));
}

void warn_of_schedules(const config::RunConfig& config, int64_t steps_per_epoch) {
  for (const auto& line : config::unfinished_schedules(config, steps_per_epoch)) log_warning(line);
}

/// Not an error: a user who has removed a damaged image wants to resume.
void warn_of_other_images(const data::Dataset& images, const train::RunState& before) {
  if (before.images == 0 || before.images == images.size()) return;
  log_warning(concat("data: expected ", before.images, " images, as before, got ", images.size(),
                     "; the order of the current epoch changes from here on: some images "
                     "occur twice in it, others not at all"));
}

/// Initializes both networks with the weights of a file; mask token and heads that it lacks keep
/// their random values. Ignored by a run that resumes from a checkpoint.
void begin_with_weights(const TrainRequest& request, train::TrainStep& step,
                        const std::optional<train::Checkpoint>& checkpoint) {
  if (request.init_from.empty()) return;
  open_input([&] {
    if (checkpoint) {
      io::MappedFile file(request.init_from);  // throws if absent
      log_info(concat("--init-from ", request.init_from, ": ignored, the run resumes from ",
                      checkpoint->source.string()));
      return;
    }
    const auto weights = models::read_weights(request.init_from, request.init_key);
    for (auto* network : {&step.networks().student(), &step.networks().teacher()}) {
      const bool student = network == &step.networks().student();
      const auto report = models::load_weights_(*network, weights);
      log_info(concat(student ? "student" : "teacher", " from ", request.init_from, ": ",
                      models::summary(report)));
    }
  });
}

/// Steps per epoch; a resumed run keeps the number it started with. The reference pads to equal
/// numbers of samples per rank, so with the same global batch another number of ranks may give one
/// step more or less.
int64_t steps_of_epoch(const data::Dataset& images, const config::RunConfig& config, int64_t ranks,
                       const std::optional<train::Checkpoint>& checkpoint) {
  const auto own = open_input(
      [&] { return data::steps_per_epoch(images.size(), config.train.batch_size, ranks); });
  if (!checkpoint || checkpoint->run.global_batch == 0) return own;
  const auto before = checkpoint->run.steps_per_epoch;
  const auto whole = images.size() / checkpoint->run.global_batch;
  const bool padded = images.size() % checkpoint->run.global_batch != 0;
  return before == whole || (padded && before == whole + 1) ? before : own;
}

std::unique_ptr<InRunEvaluations> open_evaluations(const config::RunConfig& config) {
  auto planned = evaluation::planned(config.eval, config.evaluations);
  if (config.eval.path.empty() || planned.empty()) return nullptr;
  return std::make_unique<InRunEvaluations>(config, std::move(planned));
}

/// Discards a best checkpoint that was selected with other images or options: scores are not
/// comparable.
void forget_foreign_best(const InRunEvaluations& evaluations, train::RunState& run) {
  if (run.best.step == 0) return;
  const auto differing = run.best.identity.empty()
                             ? "inputs that an earlier version did not record"
                             : evaluations.identity().differences(run.best.identity);
  if (differing.empty()) return;
  log_warning(concat("eval: the best checkpoint so far, of step ", run.best.step,
                     ", was selected by other evaluations (", differing,
                     ") and no longer counts; the next evaluation selects a new one"));
  run.best = {};
}

/// Observers of rank 0: log files and console.
struct Record {
  Record(const TrainRequest& request, const train::TrainerOptions& options, int64_t first)
      : files(request.output, first, options.length.steps_per_epoch, log_warning),
        shown(first,
              options.train.max_steps > 0
                  ? std::min(options.train.max_steps, options.length.total_steps())
                  : options.length.total_steps(),
              options.length.global_batch, options.train.epochs, request.quiet) {}

  train::RunLog files;
  RunConsole shown;
};

/// Initial state of a run.
struct Beginning {
  std::optional<train::Checkpoint> checkpoint;
  int64_t steps_per_epoch = 0;
  std::unique_ptr<InRunEvaluations> evaluations;  // on rank 0
};

/// Reads everything that the request names. Afterwards `step` has its initial weights, except those
/// of the checkpoint.
Beginning prepare(const TrainRequest& request, const Ranks& ranks, const data::Dataset& images,
                  train::TrainStep& step) {
  const auto& config = request.config;
  Beginning beginning{.checkpoint = find_checkpoint(request, step), .evaluations = {}};
  auto& checkpoint = beginning.checkpoint;
  beginning.steps_per_epoch = steps_of_epoch(images, config, ranks.group.size(), checkpoint);
  if (checkpoint) checkpoint->run = checkpoint->run.with_steps(beginning.steps_per_epoch);
  if (ranks.group.rank() == 0) beginning.evaluations = open_evaluations(config);
  begin_with_weights(request, step, checkpoint);
  return beginning;
}

/// Trains from a checkpoint or from scratch until the end or an early stop; returns the exit
/// status.
int train_run(const TrainRequest& request, const Ranks& ranks, const data::Dataset& images,
              train::TrainStep& step) {
  const auto& config = request.config;
  const bool leads = ranks.group.rank() == 0;
  // An existing folder is locked before its checkpoints are read.
  std::optional<FolderLock> lock;
  if (leads && std::filesystem::is_directory(request.output)) lock.emplace(request.output);
  auto beginning = prepare(request, ranks, images, step);
  auto& checkpoint = beginning.checkpoint;
  const auto& evaluations = beginning.evaluations;
  const auto steps_per_epoch = beginning.steps_per_epoch;
  if (leads) prepare_output(request.output);
  if (leads && !lock) lock.emplace(request.output);
  // The request cannot be refused from here on: a refusal must leave no folder and print a single
  // line.
  announce(config, images, steps_per_epoch, ranks);
  EarlyEnd early_end(ranks.group.size() == 1 ? 1 : config.train.log_every_steps);
  auto options = trainer_options(request, ranks.group.size(), images.size(), steps_per_epoch);
  if (ranks.group.size() > 1) options.replay /= "rank-" + std::to_string(ranks.group.rank());
  const int64_t first = checkpoint ? checkpoint->run.step : 0;
  std::optional<Record> record;
  if (leads) {
    warn_of_schedules(config, steps_per_epoch);
    write_resolved_config(request);
    record.emplace(request, options, first);
  }
  std::vector<train::Observer*> observers;
  if (record) observers = {&record->files, &record->shown};
  train::Trainer trainer(options, step, observers);
  if (checkpoint) {
    if (evaluations) forget_foreign_best(*evaluations, checkpoint->run);
    open_input([&] { trainer.resume(*checkpoint); });
    if (leads) warn_of_other_images(images, checkpoint->run);
    log_info(concat("resumed at step ", first, " of ", options.length.total_steps()));
  }
  trainer.set_stop([&] { return early_end.due(trainer.longest_save_s()); });
  trainer.set_evaluation([&](int64_t epoch) -> std::optional<train::EvaluationRecord> {
    if (!evaluations) return std::nullopt;
    return evaluations->evaluate(
        step.networks().teacher(), step.device(),
        {epoch, trainer.state().step, observers, [&] { ranks.group.check(); }});
  });
  data::MultiCropLoader loader(images, rank_loader_options(config, ranks, first, steps_per_epoch));
  BadSampleLog batches(loader, request.output, ranks.group, config.train.log_every_steps,
                       checkpoint.has_value());
  const auto ending = trainer.run(batches);
  if (record) record->shown.finish();
  log_info(concat(ending == train::Ending::kDone ? "done" : "stopped", " at step ",
                  trainer.state().step, "; checkpoint: ", trainer.last_checkpoint().string()));
  if (ending != train::Ending::kDone) return early_end.status();
  if (leads && config.train.report) write_run_report(request.output, config, ranks.device);
  return kDone;
}

/// The dry run: first checks everything for which the run would be refused.
int try_run(const TrainRequest& request, const Ranks& ranks, const data::Dataset& images,
            train::TrainStep& step) {
  const auto& config = request.config;
  const auto steps_per_epoch = prepare(request, ranks, images, step).steps_per_epoch;
  if (ranks.group.rank() == 0) check_output(request.output);
  announce(config, images, steps_per_epoch, ranks);
  if (ranks.group.rank() == 0) warn_of_schedules(config, steps_per_epoch);
  data::MultiCropLoader loader(images, rank_loader_options(config, ranks, 0, steps_per_epoch));
  return dry_run(config, step, loader, steps_per_epoch);
}

}  // namespace

int pretrain(const TrainRequest& request, const Ranks& ranks) {
  const auto& config = request.config;
  const auto dataset = open_images(config);
  const auto& images = *dataset;
  train::TrainStep step(step_options(config), ranks.device, ranks.group);
  if (request.dry_run) return try_run(request, ranks, images, step);
  // A single rank may have received the stop signal. No rank exits while rank 0 saves: a launcher
  // may take the first exit for the end of all.
  const auto status = torch::tensor(train_run(request, ranks, images, step));
  ranks.group.all_reduce_(status, dist::Reduction::kMax);
  return status.item<int>();
}

}  // namespace ibot::apps
