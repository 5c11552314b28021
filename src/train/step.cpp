#include "ibot/train/step.h"

#include <ATen/Context.h>

#include "ibot/base/error.h"
#include "ibot/base/rng.h"
#include "ibot/nn/autocast_scope.h"
#include "ibot/optim/autocast.h"

namespace ibot::train {
namespace {

at::Generator make_generator(torch::Device device) {
  return at::globalContext().defaultGenerator(device).clone();
}

/// Share of images on which both networks choose the same prototype across the first two views.
torch::Tensor agreement(const torch::Tensor& cluster, const torch::Tensor& student_logits) {
  const auto images = cluster.size(0);
  const auto chosen = student_logits.narrow(0, images, images).argmax(-1);
  return chosen.eq(cluster).to(torch::kFloat).mean();
}

}  // namespace

StepInputs step_inputs(const StepOptions& options, const optim::ScheduleOptions& schedule,
                       int64_t mask_start_epoch, const optim::RunLength& length, int64_t step) {
  const auto epoch = step / length.steps_per_epoch;
  return {.step = step,
          .values = optim::step_values(options.optim, schedule, length, step),
          .temperatures = loss::teacher_temperatures(options.loss, mask_start_epoch, epoch)};
}

TrainStep::TrainStep(const StepOptions& options, torch::Device device)
    : options_(options), device_(device), generator_(make_generator(device)) {
  IBOT_CHECK_AS(ConfigError, options.precision != Precision::kFp16 || !device.is_cpu(),
                "train.precision: expected fp32 or bf16 on the CPU, got fp16");
  networks_ = std::make_shared<StudentTeacher>(options.backbone, options.head, options.seed);
  networks_->to(device);
  loss_ = loss::IbotLoss(options.loss, options.head.prototypes,
                         networks_->teacher().head->patch_prototypes());
  loss_->to(device);
  networks_->student().backbone->set_context({.generator = generator_});
  networks_->train();
  optimizer_.emplace(options.optim.optimizer, optim::trained_parameters(networks_->student()));
  averaged_ = optim::common_parameters(networks_->teacher(), networks_->student());
  if (options.precision == Precision::kFp16) scaler_.emplace(device);
}

StepResult TrainStep::forward_backward(const batch::MultiCropBatch& batch,
                                       const StepInputs& inputs) {
  StepResult result;
  {
    const nn::AutocastScope autocast(device_.type(), optim::autocast_dtype(options_.precision));
    const auto teacher = networks_->teacher_forward(batch);
    const auto student = networks_->student_forward(batch);
    result.loss = loss_->forward(student, teacher, {batch.pairs.weight, batch.pairs.views},
                                 options_.global_views, inputs.temperatures);
    const torch::NoGradGuard no_grad;
    result.cluster = teacher.class_logits.narrow(0, 0, batch.sample_id.size(0)).argmax(-1);
    result.agreement = agreement(result.cluster, student.class_logits);
  }
  networks_->student().zero_grad();
  (scaler_ ? scaler_->scaled(result.loss.total) : result.loss.total).backward();
  return result;
}

StepResult TrainStep::run(const batch::MultiCropBatch& batch, const StepInputs& inputs) {
  auto draw = Rng(options_.seed, static_cast<uint64_t>(inputs.step), 0, kDevice);
  generator_.set_current_seed(draw.bits());
  auto result = forward_backward(batch, inputs);
  std::optional<optim::Overflow> overflow;
  if (scaler_) {
    overflow = optim::Overflow{scaler_->unscale_(optim::gradients_of(optimizer_->parameters()))};
  }
  result.grad_norm = optim::clip_gradients_(optimizer_->parameters(), options_.optim.clip_grad);
  optimizer_->step(inputs.values, overflow);
  if (scaler_) scaler_->update(overflow->found);
  optim::ema_update_(averaged_, inputs.values.momentum_teacher);
  for (auto* term : {&result.loss.total, &result.loss.class_term, &result.loss.patch_term}) {
    *term = term->detach();
  }
  return result;
}

std::map<std::string, torch::Tensor> TrainStep::state() const {
  std::map<std::string, torch::Tensor> state;
  for (const auto& [name, tensor] : models::named_state(*networks_)) state[name] = tensor;
  for (const auto& [name, tensor] : models::named_state(*loss_)) state["loss." + name] = tensor;
  for (const auto& [name, tensor] : optimizer_->state()) state["optim." + name] = tensor;
  if (scaler_) {
    state["scaler.scale"] = scaler_->scale();
    state["scaler.good_steps"] = scaler_->good_steps();
  }
  return state;
}

void TrainStep::load_state(const std::map<std::string, torch::Tensor>& state) {
  const auto own = this->state();
  for (const auto& [name, tensor] : own) {
    const auto match = state.find(name);
    IBOT_CHECK_AS(CheckpointError, match != state.end(), "checkpoint: missing ", name);
    IBOT_CHECK_AS(CheckpointError, match->second.sizes() == tensor.sizes(), "checkpoint: ", name,
                  ": expected shape ", tensor.sizes(), ", got ", match->second.sizes());
  }
  for (const auto& [name, tensor] : state) {
    IBOT_CHECK_AS(CheckpointError, own.count(name) == 1, "checkpoint: ", name,
                  " belongs to no part of this network");
  }
  const torch::NoGradGuard no_grad;
  for (auto& [name, tensor] : own) torch::Tensor(tensor).copy_(state.at(name));
}

}  // namespace ibot::train
