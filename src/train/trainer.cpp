#include "ibot/train/trainer.h"

#include <chrono>

#include "ibot/base/error.h"
#include "ibot/base/hash.h"
#include "ibot/base/memory.h"

namespace ibot::train {
namespace {

constexpr const char* kClusterEntry = "run.clusters";

/// Columns of a step's row of results.
enum Column : int64_t { kLoss, kLossCls, kLossPatch, kGradNorm, kAgreement };

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

Trainer::Trainer(TrainerOptions options, TrainStep& step, std::vector<Observer*> observers)
    : options_(std::move(options)), step_(step), observers_(std::move(observers)) {
  state_.steps_per_epoch = options_.length.steps_per_epoch;
  state_.global_batch = options_.length.global_batch;
}

std::filesystem::path Trainer::last_checkpoint() const {
  return options_.checkpoints / "last.safetensors";
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
  clusters_.clear();
  if (!clusters.empty()) clusters_.add_counts(clusters.mapped());
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
    const auto save_every = options_.train.save_every_steps;
    const bool save_due = save_every > 0 && state_.step % save_every == 0;
    if (epoch_ends || stop || save_due || state_.step == end ||
        state_.step % options_.train.log_every_steps == 0) {
      flush();
    }
    if (epoch_ends) finish_epoch();
    if (epoch_ends || stop || save_due || state_.step == end) save();
    if (stop) return Ending::kStopped;
  }
  return Ending::kDone;
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
  const double before = now_s();
  auto loaded = batches.next();
  window_wait_ += now_s() - before;
  IBOT_CHECK(loaded.has_value(), "trainer: batches ended at step ", state_.step);
  std::vector<batch::MultiCropBatch> parts;
  for (const auto& part : batch::split(*loaded, options_.train.accumulate_steps)) {
    parts.push_back(batch::prepared(part, step_.device(), options_.normalization));
  }
  const auto inputs = inputs_of(state_.step);
  const auto result = step_.run(parts, inputs);
  rows_.push_back(torch::stack({result.loss.total, result.loss.class_term, result.loss.patch_term,
                                result.grad_norm, result.agreement}));
  assigned_.push_back(result.cluster);
  labels_.push_back(loaded->label);
  state_.sums.lr += inputs.values.lr;
  state_.sums.weight_decay += inputs.values.weight_decay;
  ++state_.sums.steps;
  ++state_.step;
}

// The one place where the host waits for the device.
void Trainer::flush() {
  if (rows_.empty()) return;
  const auto& group = step_.group();
  const auto reduced = torch::stack(rows_);
  group.all_reduce_(reduced, dist::Reduction::kMean);
  const auto rows = reduced.to(torch::kCPU, torch::kDouble);  // [steps, columns]
  group.check();  // a GPU whose group has lost a rank returns, but with nothing of worth
  check_finite(rows);
  clusters_.add(group.all_gather(torch::cat(labels_)).flatten(),
                group.all_gather(torch::cat(assigned_)).flatten().to(torch::kCPU));
  const auto wait = torch::tensor(window_wait_, torch::kDouble);
  group.all_reduce_(wait, dist::Reduction::kMax);
  const auto sums = rows.sum(0);
  const auto sum = [&sums](Column column) { return sums[column].item<double>(); };
  state_.sums.loss += sum(kLoss);
  state_.sums.loss_cls += sum(kLossCls);
  state_.sums.loss_patch += sum(kLossPatch);
  state_.sums.agreement += sum(kAgreement);
  const auto steps = static_cast<double>(rows_.size());
  const double elapsed = now_s() - window_start_;
  const auto values = inputs_of(state_.step - 1).values;
  const StepRecord record{
      .step = state_.step,
      .epoch = (state_.step - 1) / options_.length.steps_per_epoch,
      .loss = sum(kLoss) / steps,
      .loss_cls = sum(kLossCls) / steps,
      .loss_patch = sum(kLossPatch) / steps,
      .lr = values.lr,
      .weight_decay = values.weight_decay,
      .momentum = values.momentum_teacher,
      .grad_norm = sum(kGradNorm) / steps,
      .images_per_s = steps * static_cast<double>(options_.length.global_batch) / elapsed,
      .data_wait = wait.item<double>() / elapsed,
      .memory_bytes = peak_memory_bytes(step_.device())};
  rows_.clear();
  assigned_.clear();
  labels_.clear();
  for (auto* observer : observers_) observer->on_step(record);
  window_start_ = now_s();
  window_wait_ = 0.0;
}

void Trainer::check_finite(const torch::Tensor& rows) const {
  const auto loss = rows.select(1, kLoss);
  if (loss.isfinite().all().item<bool>()) return;
  const auto first = loss.isfinite().logical_not().nonzero()[0].item<int64_t>();
  const auto step = state_.step - rows.size(0) + first;
  const auto value = [&](Column column) { return rows[first][column].item<double>(); };
  const bool saved = std::filesystem::exists(last_checkpoint());
  throw DivergenceError(
      concat("training: loss ", value(kLoss), " at step ", step, " of epoch ",
             step / options_.length.steps_per_epoch, " (class term ", value(kLossCls),
             ", patch term ", value(kLossPatch), ", gradient norm ", value(kGradNorm),
             "); last good checkpoint: ", saved ? last_checkpoint().string() : "none",
             "; a lower optim.lr, loss.teacher_temp or optim.clip_grad, or bf16, may help"));
}

void Trainer::finish_epoch() {
  const auto epoch = state_.step / options_.length.steps_per_epoch - 1;
  const auto& sums = state_.sums;
  const auto steps = static_cast<double>(sums.steps);
  const EpochRecord record{.step = state_.step,
                           .epoch = epoch,
                           .loss = sums.loss / steps,
                           .loss_cls = sums.loss_cls / steps,
                           .loss_patch = sums.loss_patch / steps,
                           .lr = sums.lr / steps,
                           .weight_decay = sums.weight_decay / steps,
                           .agreement = sums.agreement / steps,
                           .clusters = clusters_.metrics()};
  for (auto* observer : observers_) observer->on_epoch(record);
  if (evaluate_) {
    if (auto evaluation = evaluate_(epoch)) {
      evaluation->step = state_.step;
      for (auto* observer : observers_) observer->on_evaluation(*evaluation);
    }
  }
  state_.sums = {};
  clusters_.clear();
  window_start_ = now_s();
}

void Trainer::save() {
  auto tensors = step_.state();  // every rank helps to collect it
  if (step_.group().rank() != 0) return;
  tensors[kClusterEntry] = clusters_.counts();
  save_checkpoint(last_checkpoint(),
                  {.tensors = std::move(tensors), .run = state_, .config = options_.config});
  const auto steps = options_.length.steps_per_epoch;
  const auto epoch = state_.step / steps - 1;
  const auto every = options_.train.save_every_epochs;
  if (state_.step % steps == 0 && every > 0 && epoch > 0 && epoch % every == 0) {
    auto number = std::to_string(epoch);
    number.insert(0, number.size() < 4 ? 4 - number.size() : 0, '0');
    keep_checkpoint(last_checkpoint(), options_.checkpoints / ("epoch_" + number + ".safetensors"));
  }
  for (auto* observer : observers_) observer->on_checkpoint(last_checkpoint());
  window_start_ = now_s();
}

}  // namespace ibot::train
