#include "ibot/eval/fine_tuner.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "ibot/base/error.h"
#include "ibot/base/rng.h"
#include "ibot/base/version.h"
#include "ibot/batch/mixing.h"
#include "ibot/io/safetensors.h"

namespace ibot::eval {
namespace {

constexpr const char* kFormat = "ibot-fine-tuning";
constexpr const char* kFormatVersion = "1";

using Metadata = std::map<std::string, std::string>;

/// The entry `key`, of a file that is one of ours.
std::string entry(const std::filesystem::path& path, const Metadata& metadata,
                  const std::string& key) {
  const auto find = [&](const std::string& name) {
    const auto found = metadata.find(name);
    return found == metadata.end() ? std::string() : found->second;
  };
  IBOT_CHECK_AS(CheckpointError, find("format") == kFormat, path.string(),
                ": expected a checkpoint of a fine-tuning run, got another safetensors file");
  IBOT_CHECK_AS(CheckpointError, find("format_version") == kFormatVersion, path.string(),
                ": expected checkpoint version ", kFormatVersion, ", got ", find("format_version"));
  return find(key);
}

}  // namespace

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(FineTuneState, step, steps_per_epoch, loss, correct, grad_norm,
                                   best_epoch, best_top1, best_top5)

std::string FineTuneState::to_json() const { return nlohmann::json(*this).dump(); }

FineTuneState FineTuneState::from_json(const std::string& text) {
  try {
    return nlohmann::json::parse(text).get<FineTuneState>();
  } catch (const nlohmann::json::exception& problem) {
    throw CheckpointError(concat("checkpoint: run state is unreadable: ", problem.what()));
  }
}

FineTuner::FineTuner(FineTunerOptions options, FineTuneStep& step)
    : options_(std::move(options)), step_(step) {
  IBOT_CHECK(options_.steps_per_epoch > 0, "fine-tuning: expected steps an epoch above 0, got ",
             options_.steps_per_epoch);
  state_.steps_per_epoch = options_.steps_per_epoch;
}

std::filesystem::path FineTuner::last_checkpoint() const {
  return options_.checkpoints / "last.safetensors";
}

std::filesystem::path FineTuner::best_checkpoint() const {
  return options_.checkpoints / "best.safetensors";
}

void FineTuner::resume(const std::filesystem::path& checkpoint) {
  const auto content = io::read_safetensors(checkpoint);
  const auto state = FineTuneState::from_json(entry(checkpoint, content.metadata, "run"));
  IBOT_CHECK_AS(CheckpointError, state.steps_per_epoch == options_.steps_per_epoch,
                checkpoint.string(), ": expected ", options_.steps_per_epoch,
                " steps an epoch, as these data have, got ", state.steps_per_epoch,
                "; the run was started on more or fewer images");
  step_.load_state(content.tensors);
  state_ = state;
}

bool FineTuner::run(batch::BatchSource<batch::LabeledBatch>& batches) {
  const auto& tune = step_.options();
  const auto end = tune.epochs * options_.steps_per_epoch;
  while (state_.step < end) {
    take_step(batches);
    const bool epoch_ends = state_.step % options_.steps_per_epoch == 0;
    const bool stop = stop_ && stop_();
    if (epoch_ends || stop || state_.step % tune.log_every_steps == 0) flush();
    if (epoch_ends) finish_epoch();
    if (epoch_ends || stop) save();
    if (stop) return false;
  }
  return true;
}

PassResult FineTuner::take_pass(batch::BatchSource<batch::LabeledBatch>& batches, int64_t pass) {
  const auto loaded = batches.next();
  IBOT_CHECK(loaded.has_value(), "fine-tuning: batches ended at step ", state_.step);
  const auto device = step_.device();
  const auto& mixing = options_.mixing;
  auto images =
      batch::normalized(loaded->image.to(device, /*non_blocking=*/true), options_.normalization);
  Rng rng(static_cast<uint64_t>(step_.options().seed), static_cast<uint64_t>(pass), 0, kMixing);
  batch::random_erase_(images, mixing.erase_prob, rng, step_.reseeded_generator(pass));
  const auto mix = batch::draw_mix(mixing, images.size(2), images.size(3), rng);
  const auto mixed =
      batch::mix_images(images, loaded->label.to(device, /*non_blocking=*/true), mix,
                        step_.classifier().options().classes, mixing.label_smoothing);
  return step_.accumulate(mixed.image, mixed.target);
}

void FineTuner::take_step(batch::BatchSource<batch::LabeledBatch>& batches) {
  const auto& tune = step_.options();
  std::vector<torch::Tensor> losses, correct;
  for (int64_t i = 0; i < tune.accumulation; ++i) {
    const auto result = take_pass(batches, state_.step * tune.accumulation + i);
    losses.push_back(result.loss);
    correct.push_back(result.correct);
  }
  const auto norm = step_.update(fine_tune_values(tune, options_.steps_per_epoch, state_.step));
  rows_.push_back(torch::stack({torch::stack(losses).mean(), torch::stack(correct).mean(), norm}));
  ++state_.step;
}

// The one place where the host waits for the device.
void FineTuner::flush() {
  if (rows_.empty()) return;
  const auto rows = torch::stack(rows_).to(torch::kCPU, torch::kDouble);  // [steps, 3]
  const auto steps = rows.size(0);
  const auto finite = rows.select(1, 0).isfinite();
  if (!finite.all().item<bool>()) {
    const auto first = finite.logical_not().nonzero()[0].item<int64_t>();
    const auto step = state_.step - steps + first;
    throw DivergenceError(concat("fine-tuning: loss ", rows[first][0].item<double>(), " at step ",
                                 step, " of epoch ", step / options_.steps_per_epoch,
                                 "; a lower lr, clip_grad or bf16 may help"));
  }
  const auto sums = rows.sum(0);
  state_.loss += sums[0].item<double>();
  state_.correct += sums[1].item<double>();
  // In half precision a norm may overflow now and then; the scaler takes care of that step.
  const double norms = sums[2].item<double>();
  if (std::isfinite(norms)) state_.grad_norm += norms;
  rows_.clear();
  if (on_step_) on_step_(state_.step, sums[0].item<double>() / static_cast<double>(steps));
}

void FineTuner::finish_epoch() {
  const auto& tune = step_.options();
  const auto steps = static_cast<double>(options_.steps_per_epoch);
  const auto values = fine_tune_values(tune, options_.steps_per_epoch, state_.step - 1);
  double lowest = 1.0;
  for (const auto& parameter : step_.optimizer().parameters()) {
    lowest = std::min(lowest, parameter.lr_scale);
  }
  FineTuneEpoch record{.epoch = state_.step / options_.steps_per_epoch - 1,
                       .loss = state_.loss / steps,
                       .train_top1 = 100.0 * state_.correct / steps,
                       .lr = values.lr,
                       .min_lr = values.lr * lowest,
                       .weight_decay = values.weight_decay,
                       .grad_norm = state_.grad_norm / steps,
                       .loss_scale = step_.loss_scale(),
                       .test = std::nullopt,
                       .test_ema = std::nullopt};
  const auto done = record.epoch + 1;
  if (test_ && (done % tune.test_every_epochs == 0 || done == tune.epochs)) {
    record.test = test_(step_.classifier());
    keep_best(*record.test, record.epoch);
    if (tune.test_ema) record.test_ema = test_(*step_.averaged());
  }
  state_.loss = state_.correct = state_.grad_norm = 0.0;
  if (on_epoch_) on_epoch_(record);
}

void FineTuner::keep_best(const Accuracy& accuracy, int64_t epoch) {
  if (state_.best_epoch >= 0 && accuracy.top1 <= state_.best_top1) return;
  state_.best_epoch = epoch;
  state_.best_top1 = accuracy.top1;
  state_.best_top5 = accuracy.top5;
  if (options_.checkpoints.empty()) return;
  auto tensors = step_.state();
  std::erase_if(tensors, [](const auto& item) { return item.first.rfind("model.", 0) != 0; });
  io::write_safetensors(best_checkpoint(), {.tensors = std::move(tensors),
                                            .metadata = {{"format", "ibot-classifier"},
                                                         {"ibot_version", kVersion},
                                                         {"run", state_.to_json()},
                                                         {"config", options_.config},
                                                         {"identity", options_.identity}}});
}

void FineTuner::save() const {
  if (options_.checkpoints.empty()) return;
  io::write_safetensors(last_checkpoint(), {.tensors = step_.state(),
                                            .metadata = {{"format", kFormat},
                                                         {"format_version", kFormatVersion},
                                                         {"ibot_version", kVersion},
                                                         {"run", state_.to_json()},
                                                         {"config", options_.config},
                                                         {"identity", options_.identity}}});
}

std::string fine_tune_identity(const std::filesystem::path& checkpoint) {
  return entry(checkpoint, io::read_safetensors_metadata(checkpoint), "identity");
}

}  // namespace ibot::eval
