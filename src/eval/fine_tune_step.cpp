#include "ibot/eval/fine_tune_step.h"

#include <ATen/Context.h>

#include "ibot/base/error.h"
#include "ibot/base/rng.h"
#include "ibot/loss/soft_target_loss.h"
#include "ibot/models/load_state.h"
#include "ibot/models/network.h"
#include "ibot/nn/autocast_scope.h"
#include "ibot/optim/autocast.h"
#include "ibot/optim/faulty_step.h"
#include "ibot/optim/layer_decay.h"

namespace ibot::eval {
namespace {

optim::EpochSchedule epoch_schedule(const FineTuneOptions& options, double lr) {
  const auto& noise = options.lr_noise;
  optim::EpochSchedule schedule{.base = lr,
                                .final = options.min_lr,
                                .epochs = options.epochs,
                                .warmup_epochs = options.warmup_epochs,
                                .start = options.warmup_lr,
                                .curve = options.lr_curve,
                                .decay_epochs = options.decay_epochs,
                                .decay_rate = options.decay_rate};
  if (noise.empty()) return schedule;
  // From the one number on to the end, or between two.
  schedule.noise = {noise.front(), noise.size() == 2 ? noise.back() : 1.0, options.lr_noise_limit,
                    options.seed};
  return schedule;
}

}  // namespace

optim::StepValues fine_tune_values(const FineTuneOptions& options, int64_t steps_per_epoch,
                                   int64_t step, int64_t ranks) {
  const auto total = options.epochs * steps_per_epoch;
  const auto images = static_cast<double>(options.batch_size * options.accumulation * ranks);
  const double lr = options.lr_batch > 0 ? options.lr * images / options.lr_batch : options.lr;
  optim::StepValues values;
  if (options.schedule == LrSchedule::kEpoch) {
    values.lr = epoch_schedule(options, lr).at(step / steps_per_epoch);
  } else {
    const bool by_steps = options.warmup_steps > 0 && options.warmup_epochs > 0;
    const auto warmup = by_steps ? options.warmup_steps : options.warmup_epochs * steps_per_epoch;
    values.lr =
        optim::CosineSchedule{lr, options.min_lr, total, warmup, options.warmup_lr}.at(step);
  }
  values.weight_decay =
      optim::CosineSchedule{options.weight_decay, options.weight_decay_end, total}.at(step);
  return values;
}

FineTuneStep::FineTuneStep(const FineTuneOptions& options, std::shared_ptr<Classifier> classifier,
                           torch::Device device, dist::Group group)
    : options_(options),
      device_(device),
      group_(std::move(group)),
      generator_(at::globalContext().defaultGenerator(device).clone()),
      classifier_(std::move(classifier)),
      bad_losses_(torch::zeros({}, torch::TensorOptions(torch::kFloat).device(device))) {
  options_.precision = optim::resolved(options.precision, device);
  classifier_->to(device);
  classifier_->train();
  classifier_->backbone().set_context({.generator = generator_,
                                       .recompute = options.checkpoint_activations,
                                       .dropout = options.dropout,
                                       .attention_dropout = options.attention_dropout});
  optimizer_.emplace(options.optimizer,
                     optim::layer_decayed_parameters(*classifier_, classifier_->options().backbone,
                                                     options.layer_decay, options.decay_positions,
                                                     options.decay_bias_tables),
                     options.shard_optimizer ? group_ : dist::Group(),
                     optim::OptimizerConstants{options.betas, options.eps, options.momentum});
  std::vector<torch::Tensor> trained;
  for (const auto& parameter : optimizer_->parameters()) trained.push_back(parameter.tensor);
  gradients_.emplace(std::move(trained), group_, dist::Compression::kNone);
  if (options.ema > 0) {
    averaged_ = std::make_shared<Classifier>(classifier_->options(), /*seed=*/0);
    averaged_->to(device);
    models::copy_values_(*classifier_, *averaged_);
    for (auto& parameter : averaged_->parameters()) parameter.set_requires_grad(false);
    pairs_ = optim::common_parameters(*averaged_, *classifier_);
  }
  if (options_.precision == optim::Precision::kFp16) scaler_.emplace(device);
}

at::Generator FineTuneStep::reseeded_generator(int64_t pass) {
  auto draw = Rng(static_cast<uint64_t>(options_.seed), static_cast<uint64_t>(pass), 0, kDevice);
  generator_.set_current_seed(draw.bits());
  return generator_;
}

PassResult FineTuneStep::accumulate(const torch::Tensor& images, const torch::Tensor& targets,
                                    bool last) {
  torch::Tensor logits;
  {
    const nn::AutocastScope autocast(device_.type(),
                                     optim::autocast_dtype(options_.precision, device_));
    logits = classifier_->forward(images);
  }
  const auto loss = loss::soft_target_loss(logits, targets);
  const auto share = loss / static_cast<double>(options_.accumulation);
  if (last) gradients_->begin();
  (scaler_ ? scaler_->scaled(share) : share).backward();
  const torch::NoGradGuard no_grad;
  bad_losses_ += loss.isfinite().logical_not();
  const auto correct = logits.argmax(-1).eq(targets.argmax(-1)).to(torch::kFloat).mean();
  return {loss.detach(), correct};
}

UpdateResult FineTuneStep::update(const optim::StepValues& values) {
  gradients_->finish();
  const auto& parameters = optimizer_->parameters();
  std::optional<optim::Overflow> overflow;
  if (scaler_) overflow = optim::Overflow{scaler_->unscale_(optim::gradients_of(parameters))};
  UpdateResult result{.grad_norm = optim::clip_global_norm_(parameters, options_.clip_grad)};
  if (options_.on_nonfinite == train::NonfinitePolicy::kOn) {
    group_.all_reduce_(bad_losses_, dist::Reduction::kSum);
    result.faulty = optim::leave_out_nonfinite_(bad_losses_, result.grad_norm, overflow,
                                                scaler_ ? &*scaler_ : nullptr);
  }
  bad_losses_.zero_();
  optimizer_->step(values, overflow);
  if (scaler_) scaler_->update(overflow->found);
  if (averaged_) optim::ema_update_(pairs_, options_.ema);
  classifier_->zero_grad();
  return result;
}

double FineTuneStep::loss_scale() const { return scaler_ ? scaler_->scale().item<double>() : 1.0; }

std::map<std::string, torch::Tensor> FineTuneStep::state() const {
  std::map<std::string, torch::Tensor> state;
  for (const auto& [name, tensor] : models::named_state(*classifier_)) {
    state["model." + name] = tensor;
  }
  if (averaged_) {
    for (const auto& [name, tensor] : models::named_state(*averaged_))
      state["ema." + name] = tensor;
  }
  for (const auto& [name, tensor] : optimizer_->state()) state["optim." + name] = tensor;
  if (scaler_) {
    state["scaler.scale"] = scaler_->scale();
    state["scaler.good_steps"] = scaler_->good_steps();
  }
  return state;
}

void FineTuneStep::load_state(const std::map<std::string, torch::Tensor>& state) {
  models::load_state_(this->state(), state);
}

}  // namespace ibot::eval
