#include "ibot-train/pretrain.h"

#include <torch/version.h>

#include <algorithm>
#include <memory>
#include <set>

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
#include "ibot-train/run_inputs.h"
#include "ibot-train/settled.h"
#include "ibot-train/start_summary.h"
#include "ibot/base/version.h"
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
          .home = {.checkpoints = request.output / "checkpoints",
                   .replay = request.output / "replay",
                   .config = config::write_config(config),
                   .images = images}};
}

void announce(const config::RunConfig& config, const data::Dataset& images, int64_t steps_per_epoch,
              const Ranks& ranks) {
  if (ranks.group.rank() == 0) log_notes(config.data.path, images);
  const auto count = ranks.group.size();
  const auto classes = has_classes(images) ? concat("in ", images.class_names().size(), " classes")
                                           : std::string("without classes");
  log_info(concat(images.size(), " images ", classes, "; ", steps_per_epoch,
                  steps_per_epoch == 1 ? " step" : " steps", " per epoch on ",
                  count == 1 ? "" : std::to_string(count) + " ranks, this one on ", ranks.device));
}

/// What only the log of the run needs.
void log_details(const config::RunConfig& config) {
  log_debug(concat("ibot ", kVersion, *commit() ? " " : "", commit(), ", LibTorch " TORCH_VERSION));
  for (const auto& key : changed_keys(config)) log_debug("not a default: " + key);
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

/// The same number of images elsewhere may be other images.
void warn_of_other_data(const data::Dataset& images, const std::string& path,
                        const train::Checkpoint& checkpoint) {
  warn_of_other_images(images, checkpoint.run);
  if (checkpoint.config.empty()) return;
  const auto source = checkpoint.source.string();
  const auto before = config::parse_config<config::RunConfig>(checkpoint.config, source).data.path;
  if (before.empty() || before == path) return;
  log_warning(concat("data.path: expected ", before, ", as before, got ", path,
                     "; make sure that it holds the same images"));
}

/// Initializes both networks with the weights of a file; mask token and heads that it lacks keep
/// their random values. A run that resumes from a checkpoint has them already, or never had them.
void begin_with_weights(const TrainRequest& request, train::TrainStep& step,
                        const std::optional<train::Checkpoint>& checkpoint) {
  const auto& train = request.config.train;
  const auto& file = checkpoint ? request.init_from : train.init_from;
  if (file.empty()) return;
  open_input([&] {
    if (checkpoint) {
      io::MappedFile mapped(file);  // throws if absent
      const bool same = file == train.init_from;
      const auto began = same                      ? std::string("with them")
                         : train.init_from.empty() ? std::string("with random weights")
                                                   : "with " + train.init_from;
      const auto text = concat("--init-from ", file, ": ignored, the run resumes from ",
                               checkpoint->source.string(), "; it began ", began);
      if (same) {
        log_info(text);
      } else {
        log_warning(text);
      }
      return;
    }
    const auto weights = models::read_weights(file, train.init_key);
    for (auto* network : {&step.networks().student(), &step.networks().teacher()}) {
      const bool student = network == &step.networks().student();
      const auto report = models::load_weights_(*network, weights);
      log_info(
          concat(student ? "student" : "teacher", " from ", file, ": ", models::summary(report)));
    }
  });
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

void tell_start(const TrainRequest& request, const data::Dataset& images,
                const train::TrainStep& step, int64_t steps_per_epoch, const Ranks& ranks) {
  announce(request.config, images, steps_per_epoch, ranks);
  if (ranks.group.rank() != 0) return;
  for (const auto& line : start_summary(request, ranks, step, steps_per_epoch)) log_info(line);
  log_details(request.config);
  warn_of_schedules(request.config, steps_per_epoch);
}

int64_t last_step(const train::TrainerOptions& options) {
  const auto total = options.length.total_steps();
  return options.train.max_steps > 0 ? std::min(options.train.max_steps, total) : total;
}

/// Values of an epoch that say nothing, which log.txt has because the official one does. adjacc is
/// -1 in every pre-training; nmi and the like compare prototypes with classes.
std::set<std::string> undefined_values(bool labeled) {
  if (labeled) return {"adjacc"};
  return {"adjacc", "nmi", "ari", "fscore"};
}

/// Observers of rank 0: log files and console.
struct Record {
  Record(const TrainRequest& request, const train::TrainerOptions& options, int64_t first,
         bool labeled)
      : files(request.output, first, options.length.steps_per_epoch, log_warning,
              train::LogKeys{.undefined = undefined_values(labeled)}),
        shown({.first = first,
               .total = last_step(options),
               .images = options.length.global_batch,
               .steps_per_epoch = options.length.steps_per_epoch,
               .epochs = options.train.epochs,
               .labeled = labeled}) {}

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

int nothing_left(const TrainRequest& request, const train::TrainerOptions& options, int64_t step) {
  const bool whole = step >= options.length.total_steps();
  log_notice(concat("nothing left to do: the run has its ", step, " steps; ",
                    whole ? concat("to train longer, begin another --output with --init-from ",
                                   (request.output / "checkpoints/last.safetensors").string())
                          : "a higher train.max_steps goes on"));
  return kDone;
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
  if (leads) log_to_file(request.output / "log");
  // The request cannot be refused from here on: a refusal must leave no folder and print a single
  // line.
  tell_start(request, images, step, steps_per_epoch, ranks);
  EarlyEnd early_end(ranks.group.size() == 1 ? 1 : config.train.log_every_steps);
  const auto options = trainer_options(request, ranks.group.size(), images.size(), steps_per_epoch);
  const int64_t first = checkpoint ? checkpoint->run.step : 0;
  std::optional<Record> record;
  if (leads) {
    write_resolved_config(request);
    record.emplace(request, options, first, has_classes(images));
  }
  std::vector<train::Observer*> observers;
  if (record) observers = {&record->files, &record->shown};
  train::Trainer trainer(options, step, observers);
  if (checkpoint) {
    if (evaluations) forget_foreign_best(*evaluations, checkpoint->run);
    open_input([&] { trainer.resume(*checkpoint); });
    if (leads) warn_of_other_data(images, config.data.path, *checkpoint);
    log_info(concat("resumed at step ", first, " of ", options.length.total_steps()));
    if (first >= last_step(options)) return nothing_left(request, options, first);
  }
  trainer.set_stop([&] {
    if (record) record->shown.on_progress(trainer.state().step);
    return early_end.due(trainer.longest_save_s());
  });
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
  const bool done = ending == train::Ending::kDone;
  log_notice(concat(done ? "done" : "stopped", " at step ", trainer.state().step,
                    "; checkpoint: ", trainer.last_checkpoint().string(),
                    done ? "" : "; the same command resumes the run"));
  if (!done) return early_end.status();
  if (leads && config.train.report) write_run_report(request.output, config, ranks.device);
  return kDone;
}

/// The dry run: first checks everything for which the run would be refused.
int try_run(const TrainRequest& request, const Ranks& ranks, const data::Dataset& images,
            train::TrainStep& step) {
  const auto& config = request.config;
  const auto steps_per_epoch = prepare(request, ranks, images, step).steps_per_epoch;
  if (ranks.group.rank() == 0) check_output(request.output);
  tell_start(request, images, step, steps_per_epoch, ranks);
  data::MultiCropLoader loader(images, rank_loader_options(config, ranks, 0, steps_per_epoch));
  return dry_run(request, step, loader, steps_per_epoch);
}

}  // namespace

int pretrain(const TrainRequest& asked, const Ranks& ranks) {
  const auto request = settled(asked, ranks);
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
