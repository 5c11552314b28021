#include "ibot/train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "ibot/base/error.h"
#include "ibot/base/hash.h"
#include "ibot/base/memory.h"

namespace ibot::train {
namespace {

constexpr const char* kClusterEntry = "run.clusters";

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

TermValues divided(TermValues terms, double count) {
  for (auto& [name, value] : terms) value /= count;
  return terms;
}

}  // namespace

Trainer::Trainer(TrainerOptions options, TrainStep& step, std::vector<Observer*> observers)
    : options_(std::move(options)),
      step_(step),
      observers_(std::move(observers)),
      checkpointer_({.folder = options_.checkpoints,
                     .keep_last = options_.train.keep_last,
                     .rank = step.group().rank(),
                     .world_size = step.group().size(),
                     .global_batch = options_.length.global_batch}),
      ladder_({.replay = options_.replay}),
      health_(options_.schedule.warmup_epochs * options_.length.steps_per_epoch,
              options_.train.batch_size / options_.train.accumulate_steps) {
  state_.steps_per_epoch = options_.length.steps_per_epoch;
  state_.global_batch = options_.length.global_batch;
  state_.images = options_.images;
}

void Trainer::resume(const Checkpoint& checkpoint) {
  IBOT_CHECK_AS(CheckpointError, checkpoint.run.steps_per_epoch == options_.length.steps_per_epoch,
                "checkpoint: expected ", options_.length.steps_per_epoch,
                " steps an epoch, as these data have, got ", checkpoint.run.steps_per_epoch,
                "; the run was started on more or fewer images");
  auto tensors = checkpoint.tensors;
  const auto clusters = tensors.extract(kClusterEntry);
  step_.load_state(tensors);
  state_ = checkpoint.run;
  state_.global_batch = options_.length.global_batch;
  state_.images = options_.images;
  clusters_.clear();
  if (!clusters.empty()) clusters_.add_counts(clusters.mapped());
  checkpointer_.adopt(checkpoint, names_to_keep());
  saved_best_ = state_.best;
}

Ending Trainer::run(batch::BatchSource<batch::MultiCropBatch>& batches) {
  const auto& length = options_.length;
  const auto end = options_.train.max_steps > 0
                       ? std::min(options_.train.max_steps, length.total_steps())
                       : length.total_steps();
  check_agreement();
  window_start_ = now_s();
  while (state_.step < end) {
    take_step(batches);
    const bool epoch_ends = state_.step % length.steps_per_epoch == 0;
    const bool stop = stop_agreed();
    const bool last = stop || state_.step == end;
    const auto save_every = options_.train.save_every_steps;
    const bool save_due = epoch_ends || last || (save_every > 0 && state_.step % save_every == 0);
    const bool flush_due = save_due || state_.step % options_.train.log_every_steps == 0;
    climb_ladder(flush_due);
    if (flush_due) flush();
    if (epoch_ends) finish_epoch();
    // Amid steps that do not count there is no good state to save, unless it is the only chance.
    if (save_due && (last || ladder_.last_counted())) {
      save();
    } else if (save_due) {
      state_.best = saved_best_;
    }
    // Of the last one finish_saving tells: a run that could not save has failed.
    if (!last) told(checkpointer_.finished());
    if (stop) break;
  }
  finish_saving();
  return state_.step < end ? Ending::kStopped : Ending::kDone;
}

// A signal reaches ranks in different steps. Alone, a run answers it after the next one; several
// ranks ask each other where they exchange results anyway.
bool Trainer::stop_agreed() const {
  const bool requested = stop_ && stop_();
  const auto& group = step_.group();
  if (group.size() == 1) return requested;
  return state_.step % options_.train.log_every_steps == 0 && group.any(requested);
}

// Nodes whose folders are not the same would resume from different checkpoints, or only some.
void Trainer::check_agreement() const {
  const auto& group = step_.group();
  if (group.size() == 1) return;
  Hash hash;
  hash.add(std::to_string(state_.step));
  for (const auto& [name, tensor] : step_.state()) {
    const auto host = tensor.detach().to(torch::kCPU).contiguous();
    hash.add(host.const_data_ptr(), host.nbytes());
  }
  const auto text = hash.hex();
  const auto own = torch::tensor(std::vector<int64_t>(text.begin(), text.end()));
  const auto all = group.all_gather(own);  // [ranks, digits]
  for (int64_t rank = 1; rank < group.size(); ++rank) {
    IBOT_CHECK_AS(CheckpointError, all[rank].equal(all[0]), "ranks: rank ", rank,
                  " would start from another state than rank 0; give all the same file to resume "
                  "from or begin with, in a folder that every node sees");
  }
}

StepInputs Trainer::inputs_of(int64_t step) const {
  return step_inputs(step_.options(), options_.schedule, options_.mask_start_epoch, options_.length,
                     step);
}

void Trainer::take_step(batch::BatchSource<batch::MultiCropBatch>& batches) {
  const dist::Group::InStep in_step(step_.group());
  const double before = now_s();
  auto loaded = batches.next();
  window_wait_ += now_s() - before;
  IBOT_CHECK(loaded.has_value(), "trainer: batches ended at step ", state_.step);
  std::vector<batch::MultiCropBatch> parts;
  for (const auto& part : batch::split(*loaded, options_.train.accumulate_steps)) {
    parts.push_back(batch::prepared(part, step_.device(), options_.normalization));
  }
  auto inputs = inputs_of(state_.step);
  inputs.watch = (state_.step + 1) % options_.train.log_every_steps == 0 ||
                 (state_.step + 1) % options_.length.steps_per_epoch == 0;
  inputs.skip_nonfinite = options_.train.on_nonfinite == NonfinitePolicy::kOn;
  auto result = step_.run(parts, inputs);
  if (result.faulty.defined()) ladder_.watch(state_.step, *loaded, result.faulty);
  window_.add(std::move(result), loaded->label);
  state_.sums.lr += inputs.values.lr;
  state_.sums.weight_decay += inputs.values.weight_decay;
  ++state_.sums.steps;
  ++state_.step;
}

// The one place where the host waits for the device, but for the ladder just before it.
void Trainer::flush() {
  if (window_.empty()) return;
  const auto& group = step_.group();
  const dist::Group::InStep in_step(group);
  const auto all = window_.read(group);
  if (options_.train.on_nonfinite == NonfinitePolicy::kStrict) check_finite(all);
  clusters_.add(all.labels, all.clusters);
  const auto wait = torch::tensor(window_wait_, torch::kDouble);
  group.all_reduce_(wait, dist::Reduction::kMax);
  const auto counted = all.counted();
  const auto steps = static_cast<double>(counted.steps());
  const double elapsed = now_s() - window_start_;
  const auto values = inputs_of(state_.step - 1).values;
  const StepRecord record{
      .step = state_.step,
      .epoch = (state_.step - 1) / options_.length.steps_per_epoch,
      .loss = counted.sum("loss") / steps,
      .terms = divided(counted.term_sums(), steps),
      .lr = values.lr,
      .weight_decay = values.weight_decay,
      .momentum = values.momentum_teacher,
      .grad_norm = counted.sum("grad_norm") / steps,
      .images_per_s = static_cast<double>(all.steps() * options_.length.global_batch) / elapsed,
      .data_wait = wait.item<double>() / elapsed,
      .memory_bytes = peak_memory_bytes(step_.device()),
      .loss_z = add_to_sums(counted),
      .skipped = all.steps() - counted.steps(),
      .health = all.health};
  state_.sums.skipped += record.skipped;
  for (auto* observer : observers_) observer->on_step(record);
  watch_health(record);
  window_start_ = now_s();
  window_wait_ = 0.0;
}

/// Adds the steps that count to the epoch's sums; returns the largest deviation of a loss.
double Trainer::add_to_sums(const WindowResults& counted) {
  state_.sums.loss += counted.sum("loss");
  state_.sums.add_terms(counted.term_sums());
  state_.sums.agreement += counted.sum("agreement");
  double largest = 0.0;
  const auto losses = counted.column("loss");
  for (int64_t i = 0; i < counted.steps(); ++i) {
    const auto loss = losses[i].item<double>();
    if (std::isfinite(loss)) largest = std::max(largest, state_.trend.add(loss));
  }
  return largest;
}

void Trainer::watch_health(const StepRecord& record) {
  const auto spike = spikes_.judge(record.loss_z);
  if (spike) tell_fault("loss_spike", state_.step, spike->text);
  std::optional<std::string> collapse;
  if (record.health) collapse = health_.judge(state_.step, *record.health);
  if (collapse) tell_fault("collapse", state_.step, *collapse);
  if (options_.train.on_collapse != CollapsePolicy::kStop) return;
  IBOT_CHECK_AS(DivergenceError, !collapse, "training: step ", state_.step, ": ", *collapse);
  IBOT_CHECK_AS(DivergenceError, !spike || !spike->lasts, "training: step ", state_.step, ": ",
                spike->text);
}

void Trainer::climb_ladder(bool wait) {
  for (const auto& skipped : ladder_.settle(wait)) {
    tell_fault("skipped", skipped.step + 1,
               concat("loss or gradient of step ", skipped.step,
                      " is not finite: the step does not count; ", skipped.batch));
  }
  // Only where everything is known: all ranks decide alike, however far ahead of the device each
  // is.
  if (wait && ladder_.wants_roll_back()) roll_back();
}

// The step's number goes on, and with it data and schedules: the state stays a function of it.
void Trainer::roll_back() {
  told(checkpointer_.wait());
  step_.group().barrier();  // until rank 0 has written what it was writing
  const auto first = ladder_.first_in_a_row();
  const auto problem = concat("training: loss or gradient not finite in ", ladder_.in_a_row(),
                              " steps in a row from step ", first);
  const char* advice =
      "; a lower optim.lr, loss.teacher_temp or optim.clip_grad, or bf16, may help";
  IBOT_CHECK_AS(DivergenceError, ladder_.may_roll_back(), problem,
                ", although weights were rolled back several times in this epoch", advice);
  auto checkpoint = checkpointer_.newest(first);
  IBOT_CHECK_AS(DivergenceError, checkpoint.has_value(), problem,
                ", and no checkpoint from before to roll back to", advice);
  checkpoint->tensors.erase(kClusterEntry);
  step_.load_state(checkpoint->tensors);
  check_agreement();
  ladder_.rolled_back();
  tell_fault("rolled_back", state_.step,
             concat(problem, ": weights rolled back to step ", checkpoint->run.step,
                    ", data and schedules go on", advice));
}

// In fp16 gradients out of range are the loss scale's everyday work.
void Trainer::check_finite(const WindowResults& window) {
  auto finite = window.column("loss").isfinite();
  if (step_.options().precision != Precision::kFp16) {
    finite = finite.logical_and(window.column("grad_norm").isfinite());
  }
  if (finite.all().item<bool>()) return;
  const auto first = finite.logical_not().nonzero()[0].item<int64_t>();
  const auto step = state_.step - window.steps() + first;
  const auto value = [&](const std::string& name) {
    return window.column(name)[first].item<double>();
  };
  const bool bad_loss = !std::isfinite(value("loss"));
  std::string values = concat("loss ", value("loss"));
  for (const auto& [name, unused] : window.term_sums()) {
    values += concat(", ", name, " term ", value("loss_" + name));
  }
  told(checkpointer_.wait());
  const bool saved = std::filesystem::exists(last_checkpoint());
  throw DivergenceError(concat(
      "training: ", bad_loss ? "loss " : "gradient norm ", value(bad_loss ? "loss" : "grad_norm"),
      " at step ", step, " of epoch ", step / options_.length.steps_per_epoch, " (", values,
      ", gradient norm ", value("grad_norm"),
      "); last good checkpoint: ", saved ? last_checkpoint().string() : "none",
      "; a lower optim.lr, loss.teacher_temp or optim.clip_grad, or bf16, may help"));
}

void Trainer::finish_epoch() {
  const auto epoch = state_.step / options_.length.steps_per_epoch - 1;
  const auto& sums = state_.sums;
  const auto steps = static_cast<double>(sums.steps);
  const auto counted = static_cast<double>(sums.steps - sums.skipped);
  const EpochRecord record{.step = state_.step,
                           .epoch = epoch,
                           .loss = sums.loss / counted,
                           .terms = divided(sums.terms, counted),
                           .lr = sums.lr / steps,
                           .weight_decay = sums.weight_decay / steps,
                           .agreement = sums.agreement / counted,
                           .clusters = clusters_.metrics()};
  for (auto* observer : observers_) observer->on_epoch(record);
  if (evaluate_) evaluate(epoch);
  state_.sums = {};
  clusters_.clear();
  ladder_.begin_epoch();
  window_start_ = now_s();
}

// An image that cannot be read, or memory that does not suffice, costs a figure and not the run.
void Trainer::evaluate(int64_t epoch) {
  std::optional<EvaluationRecord> evaluation;
  try {
    evaluation = evaluate_(epoch);
  } catch (const dist::PeerError&) {
    throw;  // no step can follow
  } catch (const std::exception& error) {
    tell_fault("evaluation_failed", state_.step,
               concat("evaluation after epoch ", epoch, " failed: ", error.what(),
                      "; training goes on without it"));
  }
  if (!evaluation) return;
  evaluation->step = state_.step;
  told(checkpointer_.wait());  // what is still being written may be the best one so far
  if (evaluation->score && (state_.best.step == 0 || *evaluation->score > state_.best.score)) {
    state_.best = {state_.step, *evaluation->score, evaluation->identity};
  }
  for (auto* observer : observers_) observer->on_evaluation(*evaluation);
}

/// Further names of the checkpoint of the state as it stands.
std::vector<std::string> Trainer::names_to_keep() const {
  std::vector<std::string> names;
  const auto steps = options_.length.steps_per_epoch;
  const auto epoch = state_.step / steps - 1;
  const auto every = options_.train.save_every_epochs;
  if (state_.step % steps == 0 && every > 0 && epoch > 0 && epoch % every == 0) {
    auto number = std::to_string(epoch);
    number.insert(0, number.size() < 4 ? 4 - number.size() : 0, '0');
    names.push_back("epoch_" + number);
  }
  if (state_.best.step > 0 && state_.best.step == state_.step) names.push_back("best");
  return names;
}

void Trainer::save() {
  told(checkpointer_.wait());
  auto tensors = step_.state();  // every rank helps to collect it
  tensors[kClusterEntry] = clusters_.counts();
  checkpointer_.start({.tensors = std::move(tensors), .run = state_, .config = options_.config},
                      names_to_keep());
  window_start_ = now_s();
}

void Trainer::told(const std::optional<SaveResult>& saved) {
  if (!saved) return;
  longest_save_s_ = std::max(longest_save_s_, saved->seconds);
  if (saved->problem.empty()) {
    saved_best_ = state_.best;
    for (auto* observer : observers_) observer->on_checkpoint(saved->file);
    return;
  }
  state_.best = saved_best_;
  tell_fault("save_failed", saved->step,
             concat("checkpoint not written: ", saved->problem,
                    "; training goes on, the next one is tried when it is due"));
}

void Trainer::finish_saving() {
  const auto saved = checkpointer_.wait();
  if (saved) IBOT_CHECK(saved->problem.empty(), "last checkpoint not written: ", saved->problem);
  told(saved);
}

void Trainer::tell_fault(const char* kind, int64_t step, const std::string& text) {
  const FaultRecord record{.step = step,
                           .epoch = (step - 1) / options_.length.steps_per_epoch,
                           .kind = kind,
                           .text = text};
  for (auto* observer : observers_) observer->on_fault(record);
}

}  // namespace ibot::train
