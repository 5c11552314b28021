#include "ibot/train/loop.h"

#include <algorithm>
#include <cmath>

#include "ibot/base/hash.h"
#include "ibot/base/memory.h"
#include "ibot/optim/autocast.h"
#include "ibot/train/flops.h"

namespace ibot::train {
namespace {

using Clock = std::chrono::steady_clock;

TermValues divided(TermValues terms, double count) {
  for (auto& [name, value] : terms) value /= count;
  return terms;
}

std::filesystem::path replay_folder(const std::filesystem::path& replay, const dist::Group& group) {
  return replay.empty() || group.size() == 1 ? replay : replay / concat("rank-", group.rank());
}

double seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

LoopOptions loop_options(const RunOptions& run, torch::Device device) {
  const auto precision = optim::resolved(run.precision, device);
  return {.log_every_steps = run.log_every_steps,
          .save_every_epochs = run.save_every_epochs,
          .save_every_steps = run.save_every_steps,
          .on_nonfinite = run.on_nonfinite,
          .checks_gradients = precision != optim::Precision::kFp16,
          .product_type = optim::autocast_dtype(precision, device).value_or(torch::kFloat)};
}

Loop::Loop(LoopOptions options, dist::Group group, torch::Device device,
           std::vector<Observer*> observers)
    : options_(std::move(options)),
      group_(std::move(group)),
      device_(device),
      observers_(std::move(observers)),
      ladder_({.replay = replay_folder(options_.home.replay, group_)}) {
  IBOT_CHECK(options_.length.steps_per_epoch > 0, "training: expected steps an epoch above 0, got ",
             options_.length.steps_per_epoch);
  if (!options_.home.checkpoints.empty()) {
    checkpointer_.emplace(CheckpointerOptions{.folder = options_.home.checkpoints,
                                              .keep_last = options_.keep_last,
                                              .rank = group_.rank(),
                                              .world_size = group_.size(),
                                              .global_batch = options_.length.global_batch});
  }
  state_.steps_per_epoch = options_.length.steps_per_epoch;
  state_.global_batch = options_.length.global_batch;
  state_.images = options_.home.images;
}

void Loop::resume(const Checkpoint& checkpoint) {
  const auto before = checkpoint.run.global_batch;
  IBOT_CHECK_AS(CheckpointError, before == 0 || before == options_.length.global_batch,
                "checkpoint: expected steps of ", before,
                " images over all ranks, as the run has had, got ", options_.length.global_batch,
                "; change the batch size or the number of ranks");
  IBOT_CHECK_AS(
      CheckpointError, checkpoint.run.steps_per_epoch == options_.length.steps_per_epoch,
      "checkpoint: expected ", options_.length.steps_per_epoch,
      " steps an epoch, as these data have, got ", checkpoint.run.steps_per_epoch,
      "; the run was started on more or fewer images: give it those, or begin another run "
      "with its weights");
  load(checkpoint.tensors, /*roll_back=*/false);
  state_ = checkpoint.run;
  state_.global_batch = options_.length.global_batch;
  state_.images = options_.home.images;
  if (checkpointer_) checkpointer_->adopt(checkpoint, names_to_keep());
  saved_best_ = state_.best;
}

std::filesystem::path Loop::last_checkpoint() const {
  return checkpointer_ ? checkpointer_->last() : std::filesystem::path();
}

Ending Loop::run() {
  const auto& length = options_.length;
  const auto end = options_.max_steps > 0 ? std::min(options_.max_steps, length.total_steps())
                                          : length.total_steps();
  check_agreement();
  if (options_.flops_per_image > 0) {
    peak_flops_per_s_ =
        static_cast<double>(group_.size()) * product_flops_per_s(device_, options_.product_type);
  }
  window_start_ = Clock::now();
  while (state_.step < end) {
    advance();
    const bool epoch_ends = state_.step % length.steps_per_epoch == 0;
    const bool stop = stop_agreed();
    const bool last = stop || state_.step == end;
    const auto save_every = options_.save_every_steps;
    const bool save_due = epoch_ends || last || (save_every > 0 && state_.step % save_every == 0);
    const bool flush_due = save_due || state_.step % options_.log_every_steps == 0;
    climb_ladder(flush_due);
    if (flush_due) flush();
    if (epoch_ends) finish_epoch();
    // Amid steps that do not count there is no good state to save, unless it is the only chance.
    if (save_due && (last || ladder_.last_counted())) {
      save();
    } else if (save_due && checkpointer_) {
      state_.best = saved_best_;
    }
    // Of the last one finish_saving tells: a run that could not save has failed.
    if (!last && checkpointer_) told(checkpointer_->finished());
    if (stop) break;
  }
  finish_saving();
  return state_.step < end ? Ending::kStopped : Ending::kDone;
}

bool Loop::is_recorded(int64_t step) const {
  return (step + 1) % options_.log_every_steps == 0 ||
         (step + 1) % options_.length.steps_per_epoch == 0;
}

// A signal reaches ranks in different steps. Alone, a run answers it after the next one; several
// ranks ask each other where they exchange results anyway.
bool Loop::stop_agreed() const {
  const bool requested = stop_ && stop_();
  if (group_.size() == 1) return requested;
  return state_.step % options_.log_every_steps == 0 && group_.any(requested);
}

// Nodes whose folders are not the same would resume from different checkpoints, or only some.
void Loop::check_agreement() {
  if (group_.size() == 1) return;
  Hash hash;
  hash.add(std::to_string(state_.step));
  for (const auto& [name, tensor] : tensors()) {
    const auto host = tensor.detach().to(torch::kCPU).contiguous();
    hash.add(host.const_data_ptr(), host.nbytes());
  }
  const auto text = hash.hex();
  const auto own = torch::tensor(std::vector<int64_t>(text.begin(), text.end()));
  const auto all = group_.all_gather(own);  // [ranks, digits]
  for (int64_t rank = 1; rank < group_.size(); ++rank) {
    IBOT_CHECK_AS(CheckpointError, all[rank].equal(all[0]), "ranks: rank ", rank,
                  " would start from another state than rank 0; give all the same file to resume "
                  "from or begin with, in a folder that every node sees");
  }
}

void Loop::advance() {
  const dist::Group::InStep in_step(group_);
  auto step = take_step();
  if (step.faulty.defined()) ladder_.watch(state_.step, std::move(replay_), step.faulty);
  replay_ = {};
  window_.add(std::move(step));
  const auto scheduled = values(state_.step);
  state_.sums.lr += scheduled.lr;
  state_.sums.weight_decay += scheduled.weight_decay;
  ++state_.sums.steps;
  ++state_.step;
}

// The one place where the host waits for the device, but for the ladder just before it.
void Loop::flush() {
  if (window_.empty()) return;
  const dist::Group::InStep in_step(group_);
  const auto all = window_.read(group_);
  if (options_.on_nonfinite == NonfinitePolicy::kStrict) check_finite(all);
  const auto wait = torch::tensor(waited_.count(), torch::kDouble);
  group_.all_reduce_(wait, dist::Reduction::kMax);
  const auto counted = all.counted();
  const auto steps = static_cast<double>(counted.steps());
  const double elapsed = seconds(Clock::now() - window_start_);
  const auto scheduled = values(state_.step - 1);
  StepRecord record{
      .step = state_.step,
      .epoch = (state_.step - 1) / options_.length.steps_per_epoch,
      .loss = counted.sum("loss") / steps,
      .terms = divided(counted.term_sums(), steps),
      .lr = scheduled.lr,
      .weight_decay = scheduled.weight_decay,
      .grad_norm = counted.has("grad_norm") ? counted.sum("grad_norm") / steps : 0.0,
      .images_per_s = static_cast<double>(all.steps() * options_.length.global_batch) / elapsed,
      .data_wait = wait.item<double>() / elapsed,
      .memory_bytes = peak_memory_bytes(device_),
      .loss_z = add_to_sums(counted),
      .skipped = all.steps() - counted.steps()};
  record.flops_per_s = record.images_per_s * options_.flops_per_image;
  if (peak_flops_per_s_ > 0) {
    // Others may have been using the device while it was measured, and have gone.
    peak_flops_per_s_ = std::max(peak_flops_per_s_, record.flops_per_s);
    record.mfu = record.flops_per_s / peak_flops_per_s_;
  }
  state_.sums.skipped += record.skipped;
  complete(record);
  for (auto* observer : observers_) observer->on_step(record);
  judge(record);
  window_start_ = Clock::now();
  waited_ = {};
}

/// Adds the steps that count to the epoch's sums; returns the largest deviation of a loss.
double Loop::add_to_sums(const WindowResults& counted) {
  state_.sums.loss += counted.sum("loss");
  add_by_name(state_.sums.terms, counted.term_sums());
  add_by_name(state_.sums.more, counted.more_sums());
  double largest = 0.0;
  const auto losses = counted.column("loss");
  for (int64_t i = 0; i < counted.steps(); ++i) {
    const auto loss = losses[i].item<double>();
    if (std::isfinite(loss)) largest = std::max(largest, state_.trend.add(loss));
  }
  return largest;
}

void Loop::climb_ladder(bool wait) {
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
void Loop::roll_back() {
  if (checkpointer_) told(checkpointer_->wait());
  group_.barrier();  // until rank 0 has written what it was writing
  const auto first = ladder_.first_in_a_row();
  const auto problem = concat("training: loss or gradient not finite in ", ladder_.in_a_row(),
                              " steps in a row from step ", first);
  const auto help = "; " + advice() + " may help";
  IBOT_CHECK_AS(DivergenceError, ladder_.may_roll_back(), problem,
                ", although weights were rolled back several times in this epoch", help);
  auto checkpoint = checkpointer_ ? checkpointer_->newest(first) : std::nullopt;
  IBOT_CHECK_AS(DivergenceError, checkpoint.has_value(), problem,
                ", and no checkpoint from before to roll back to", help);
  load(std::move(checkpoint->tensors), /*roll_back=*/true);
  check_agreement();
  ladder_.rolled_back();
  tell_fault("rolled_back", state_.step,
             concat(problem, ": weights rolled back to step ", checkpoint->run.step,
                    ", data and schedules go on", help));
}

void Loop::check_finite(const WindowResults& window) {
  auto finite = window.column("loss").isfinite();
  if (options_.checks_gradients) {
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
  if (checkpointer_) told(checkpointer_->wait());
  const auto last = last_checkpoint();
  const bool saved = !last.empty() && std::filesystem::exists(last);
  throw DivergenceError(concat(
      "training: ", bad_loss ? "loss " : "gradient norm ", value(bad_loss ? "loss" : "grad_norm"),
      " at step ", step, " of epoch ", step / options_.length.steps_per_epoch + 1, " (", values,
      ", gradient norm ", value("grad_norm"),
      "); last good checkpoint: ", saved ? last.string() : "none", "; ", advice(), " may help"));
}

void Loop::finish_epoch() {
  const auto epoch = state_.step / options_.length.steps_per_epoch - 1;
  const auto& sums = state_.sums;
  const auto steps = static_cast<double>(sums.steps);
  const auto counted = static_cast<double>(sums.steps - sums.skipped);
  EpochRecord record{.step = state_.step,
                     .epoch = epoch,
                     .loss = sums.loss / counted,
                     .terms = divided(sums.terms, counted),
                     .lr = sums.lr / steps,
                     .weight_decay = sums.weight_decay / steps,
                     .more = divided(sums.more, counted)};
  complete(record);
  for (auto* observer : observers_) observer->on_epoch(record);
  if (evaluate_) evaluate(epoch);
  for (auto* observer : observers_) observer->on_epoch_end();
  state_.sums = {};
  end_epoch();
  ladder_.begin_epoch();
  window_start_ = Clock::now();
}

// An image that cannot be read, or memory that does not suffice, costs a figure and not the run.
void Loop::evaluate(int64_t epoch) {
  std::optional<EvaluationRecord> evaluation;
  try {
    evaluation = evaluate_(epoch);
  } catch (const dist::PeerError&) {
    throw;  // no step can follow
  } catch (const std::exception& error) {
    if (options_.needs_evaluation) throw;
    tell_fault("evaluation_failed", state_.step,
               concat("evaluation after epoch ", epoch + 1, " failed: ", error.what(),
                      "; training goes on without it"));
  }
  if (!evaluation) return;
  evaluation->step = state_.step;
  if (checkpointer_) told(checkpointer_->wait());  // that may be the best one so far
  if (evaluation->score && (state_.best.step == 0 || *evaluation->score > state_.best.score)) {
    state_.best = {state_.step, *evaluation->score, evaluation->identity, evaluation->metrics};
  }
  for (auto* observer : observers_) observer->on_evaluation(*evaluation);
}

/// Further names of the checkpoint of the state as it stands.
std::vector<std::string> Loop::names_to_keep() const {
  std::vector<std::string> names;
  const auto steps = options_.length.steps_per_epoch;
  const auto epoch = state_.step / steps - 1;
  const auto every = options_.save_every_epochs;
  if (state_.step % steps == 0 && every > 0 && epoch > 0 && epoch % every == 0) {
    auto number = std::to_string(epoch);
    number.insert(0, number.size() < 4 ? 4 - number.size() : 0, '0');
    names.push_back("epoch_" + number);
  }
  if (state_.best.step > 0 && state_.best.step == state_.step) names.push_back("best");
  return names;
}

void Loop::save() {
  if (!checkpointer_) return;
  told(checkpointer_->wait());
  checkpointer_->start({.tensors = tensors(),  // every rank helps to collect them
                        .run = state_,
                        .config = options_.home.config,
                        .identity = options_.home.identity},
                       names_to_keep());
  window_start_ = Clock::now();
}

void Loop::told(const std::optional<SaveResult>& saved) {
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

void Loop::finish_saving() {
  if (!checkpointer_) return;
  const auto saved = checkpointer_->wait();
  if (saved) IBOT_CHECK(saved->problem.empty(), "last checkpoint not written: ", saved->problem);
  told(saved);
}

void Loop::tell_fault(const char* kind, int64_t step, const std::string& text) {
  const FaultRecord record{.step = step,
                           .epoch = (step - 1) / options_.length.steps_per_epoch,
                           .kind = kind,
                           .text = text};
  for (auto* observer : observers_) observer->on_fault(record);
}

}  // namespace ibot::train
