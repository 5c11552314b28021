#include "ibot/eval/fine_tune_step.h"

#include "ibot/loss/soft_target_loss.h"
#include "ibot/models/load_state.h"
#include "ibot/models/network.h"
#include "ibot/nn/autocast_scope.h"
#include "ibot/optim/autocast.h"
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

GradientStepOptions step_options(const FineTuneOptions& options) {
  return {.run = options.run,
          .accumulation = options.accumulation,
          .clip_grad = options.clip_grad,
          .optimizer = options.optimizer,
          .constants = {options.betas, options.eps, options.momentum},
          .seed = static_cast<uint64_t>(options.seed)};
}

std::vector<optim::Parameter> parameters_of(const Classifier& classifier,
                                            const FineTuneOptions& options) {
  return optim::layer_decayed_parameters(classifier, classifier.options().backbone,
                                         options.layer_decay, options.decay_positions,
                                         options.decay_bias_tables);
}

}  // namespace

optim::StepValues fine_tune_values(const FineTuneOptions& options, int64_t steps_per_epoch,
                                   int64_t step, int64_t ranks) {
  const auto total = options.epochs * steps_per_epoch;
  const auto images = static_cast<double>(options.batch_size * options.accumulation * ranks);
  // Linear scaling, where the protocol has it; min_lr is not scaled.
  const double lr = options.lr_batch > 0 ? options.lr * images / options.lr_batch : options.lr;
  optim::StepValues values;
  if (options.schedule == LrSchedule::kEpoch) {
    values.lr = epoch_schedule(options, lr).at(step / steps_per_epoch);
  } else {
    // The reference's rule: steps replace epochs only where there is a warm-up in epochs.
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
      classifier_(std::move(classifier)),
      training_(step_options(options), classifier_, parameters_of(*classifier_, options), device,
                std::move(group)) {
  // Its generator is shared: the passes that follow seed it anew (FineTuner::take_pass).
  auto context = training_.context(0);
  context.dropout = options.dropout;
  context.attention_dropout = options.attention_dropout;
  classifier_->backbone().set_context(context);
  if (options.ema == 0) return;
  // The seed is of no matter: all values are copied.
  averaged_ = std::make_shared<Classifier>(classifier_->options(), /*seed=*/0);
  averaged_->to(device);
  models::copy_values_(*classifier_, *averaged_);
  for (auto& parameter : averaged_->parameters()) parameter.set_requires_grad(false);
  pairs_ = optim::common_parameters(*averaged_, *classifier_);
}

PassResult FineTuneStep::accumulate(const torch::Tensor& images, const torch::Tensor& targets,
                                    bool last) {
  torch::Tensor logits;
  {
    const nn::AutocastScope autocast(
        training_.device().type(),
        optim::autocast_dtype(options_.run.precision, training_.device()));
    logits = classifier_->forward(images);
  }
  const auto loss = loss::soft_target_loss(logits, targets);
  training_.accumulate(loss, last);
  // Of mixed targets the class with the larger share counts.
  const auto correct = logits.argmax(-1).eq(targets.argmax(-1)).to(torch::kFloat).mean();
  return {loss.detach(), correct};
}

UpdateResult FineTuneStep::update(const optim::StepValues& values) {
  auto result = training_.update(values);
  if (averaged_) optim::ema_update_(pairs_, options_.ema);
  return result;
}

std::map<std::string, torch::Tensor> FineTuneStep::state() const {
  auto state = training_.state();
  if (!averaged_) return state;
  for (const auto& [name, tensor] : models::named_state(*averaged_)) state["ema." + name] = tensor;
  return state;
}

void FineTuneStep::load_state(const std::map<std::string, torch::Tensor>& state) {
  models::load_state_(this->state(), state);
}

}  // namespace ibot::eval
