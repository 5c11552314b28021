#include "ibot/train/trainer.h"

#include <utility>

#include "ibot/base/error.h"
#include "train/replay.h"

namespace ibot::train {
namespace {

constexpr const char* kClusterEntry = "run.clusters";

LoopOptions loop_options(const TrainerOptions& options, const TrainStep& step) {
  RunOptions run = options.train;
  // As resolved for the device, not as asked for.
  run.precision = step.options().precision;
  auto loop = loop_options(run, step.device());
  loop.length = options.length;
  loop.max_steps = options.train.max_steps;
  loop.keep_last = options.train.keep_last;
  loop.flops_per_image = options.flops_per_image;
  loop.home = options.home;
  return loop;
}

}  // namespace

Trainer::Trainer(const TrainerOptions& options, TrainStep& step, std::vector<Observer*> observers)
    : Loop(loop_options(options, step), step.group(), step.device(), std::move(observers)),
      options_(options),
      step_(step),
      health_(options_.schedule.warmup_epochs * options_.length.steps_per_epoch,
              options_.train.batch_size / options_.train.accumulate_steps) {}

Ending Trainer::run(batch::BatchSource<batch::MultiCropBatch>& batches) {
  batches_ = &batches;
  return Loop::run();
}

StepInputs Trainer::inputs_of(int64_t step) const {
  return step_inputs(step_.options(), options_.schedule, options_.mask_start_epoch, options_.length,
                     step);
}

optim::StepValues Trainer::values(int64_t step) const { return inputs_of(step).values; }

StepColumns Trainer::take_step() {
  const auto step = state().step;
  auto loaded = next_batch(*batches_);
  std::vector<batch::MultiCropBatch> parts;
  for (const auto& part : batch::split(loaded, options_.train.accumulate_steps)) {
    parts.push_back(batch::prepared(part, step_.device(), options_.normalization));
  }
  auto inputs = inputs_of(step);
  // Health statistics cost time, so they are computed only at logged steps.
  inputs.watch = is_recorded(step);
  inputs.skip_nonfinite = options_.train.on_nonfinite == NonfinitePolicy::kOn;
  auto result = step_.run(parts, inputs);
  sample_ = std::move(result.health);
  step_clusters_.push_back(result.cluster);
  step_labels_.push_back(loaded.label);
  // The batch as loaded, in host memory, in case the step turns out to be faulty.
  set_replay([batch = std::move(loaded)](const std::filesystem::path& file, int64_t number) {
    write_batch(file, number, batch);
  });
  StepColumns columns{.scalars = {{"loss", result.loss.total}}, .faulty = result.faulty};
  for (const auto& term : result.loss.terms) {
    columns.scalars.push_back({concat("loss_", term.name), term.value});
  }
  columns.scalars.push_back({"grad_norm", result.grad_norm});
  columns.scalars.push_back({"agreement", result.agreement});
  return columns;
}

std::map<std::string, torch::Tensor> Trainer::tensors() {
  auto tensors = step_.state();
  // A run that resumes within an epoch reports over all of its steps.
  tensors[kClusterEntry] = clusters_.counts();
  return tensors;
}

void Trainer::load(std::map<std::string, torch::Tensor> tensors, bool roll_back) {
  const auto clusters = tensors.extract(kClusterEntry);
  step_.load_state(tensors);
  if (roll_back) return;  // the epoch's cluster table is not rolled back
  clusters_.clear();
  if (!clusters.empty()) clusters_.add_counts(clusters.mapped());
}

void Trainer::complete(StepRecord& record) {
  const auto& group = step_.group();
  // Labels come from the host, clusters from the device: one transfer per interval.
  const auto labels = group.all_gather(torch::cat(std::exchange(step_labels_, {})));
  const auto clusters = group.all_gather(torch::cat(std::exchange(step_clusters_, {})));
  clusters_.add(labels.flatten(), clusters.flatten().to(torch::kCPU));
  if (sample_) record.health = read_health(*sample_, group);
  sample_.reset();
  record.momentum = values(record.step - 1).momentum_teacher;
}

void Trainer::judge(const StepRecord& record) {
  const auto spike = spikes_.judge(record.loss_z);
  if (spike) tell_fault("loss_spike", record.step, spike->text);
  std::optional<std::string> collapse;
  if (record.health) collapse = health_.judge(record.step, *record.health);
  if (collapse) tell_fault("collapse", record.step, *collapse);
  // Told in any case; ends the run only where that was asked for.
  if (options_.train.on_collapse != CollapsePolicy::kStop) return;
  IBOT_CHECK_AS(DivergenceError, !collapse, "training: step ", record.step, ": ", *collapse);
  IBOT_CHECK_AS(DivergenceError, !spike || !spike->lasts, "training: step ", record.step, ": ",
                spike->text);
}

// adjacc, the accuracy under the best assignment, is disabled in the reference's pre-training too.
void Trainer::complete(EpochRecord& record) {
  const auto metrics = clusters_.metrics();
  record.more = {{"acc", record.at("agreement")},
                 {"nmi", metrics.nmi},
                 {"ari", metrics.ari},
                 {"fscore", metrics.fmi},
                 {"adjacc", -1}};
}

std::string Trainer::advice() const {
  const bool overflows = step_.options().precision == Precision::kFp16;
  return concat("a lower optim.lr, loss.teacher_temp or optim.clip_grad",
                overflows ? ", or bf16," : "");
}

}  // namespace ibot::train
