#include "ibot/eval/gradient_step.h"

#include <ATen/Context.h>

#include "ibot/base/error.h"
#include "ibot/base/rng.h"
#include "ibot/models/load_state.h"
#include "ibot/models/network.h"
#include "ibot/optim/autocast.h"
#include "ibot/optim/faulty_step.h"

namespace ibot::eval {

GradientStep::GradientStep(const GradientStepOptions& options,
                           std::shared_ptr<torch::nn::Module> network,
                           std::vector<optim::Parameter> parameters, torch::Device device,
                           dist::Group group)
    : options_(options),
      device_(device),
      group_(std::move(group)),
      // A generator of its own on the device, seeded before every pass.
      generator_(at::globalContext().defaultGenerator(device).clone()),
      network_(std::move(network)),
      bad_losses_(torch::zeros({}, torch::TensorOptions(torch::kFloat).device(device))) {
  options_.run.precision = optim::resolved(options.run.precision, device);
  network_->to(device);
  network_->train();
  optimizer_.emplace(options.optimizer, std::move(parameters),
                     options.run.shard_optimizer ? group_ : dist::Group(), options.constants);
  std::vector<torch::Tensor> trained;
  for (const auto& parameter : optimizer_->parameters()) trained.push_back(parameter.tensor);
  gradients_.emplace(std::move(trained), group_, dist::Compression::kNone);
  if (options_.run.precision == optim::Precision::kFp16) scaler_.emplace(device);
}

nn::BlockContext GradientStep::context(int64_t pass) {
  Rng draw(options_.seed, static_cast<uint64_t>(pass), 0, kDevice);
  // From the pass alone: a resumed run draws what an uninterrupted one would.
  generator_.set_current_seed(draw.bits());
  const auto images = options_.batch_size;
  return {.generator = generator_,
          .slice = {.whole = images * group_.size(),
                    .images = images,
                    // Ranks take every W-th image of the whole batch, as DistributedSampler deals
                    // them.
                    .first = images > 0 ? group_.rank() : 0,
                    .stride = images > 0 ? group_.size() : 1},
          .recompute = options_.run.checkpoint_activations};
}

void GradientStep::accumulate(const torch::Tensor& loss, bool last) {
  const auto share = loss / static_cast<double>(options_.accumulation);
  // Gradients travel once an update, with the last backward pass.
  if (last) gradients_->begin();
  (scaler_ ? scaler_->scaled(share) : share).backward();
  const torch::NoGradGuard no_grad;
  // Counted on the device and read by update().
  bad_losses_ += loss.isfinite().logical_not();
}

UpdateResult GradientStep::update(const optim::StepValues& values) {
  gradients_->finish();
  const auto& parameters = optimizer_->parameters();
  std::optional<optim::Overflow> overflow;
  if (scaler_) overflow = optim::Overflow{scaler_->unscale_(optim::gradients_of(parameters))};
  UpdateResult result{.grad_norm = optim::clip_global_norm_(parameters, options_.clip_grad)};
  if (options_.run.on_nonfinite == train::NonfinitePolicy::kOn) {
    group_.all_reduce_(bad_losses_, dist::Reduction::kSum);
    result.faulty = optim::leave_out_nonfinite_(bad_losses_, result.grad_norm, overflow,
                                                scaler_ ? &*scaler_ : nullptr);
  }
  bad_losses_.zero_();
  optimizer_->step(values, overflow);
  if (scaler_) scaler_->update(overflow->found);
  network_->zero_grad();
  return result;
}

double GradientStep::loss_scale() const { return scaler_ ? scaler_->scale().item<double>() : 1.0; }

std::map<std::string, torch::Tensor> GradientStep::state() const {
  std::map<std::string, torch::Tensor> state;
  for (const auto& [name, tensor] : models::named_state(*network_)) state["model." + name] = tensor;
  for (const auto& [name, tensor] : optimizer_->state()) state["optim." + name] = tensor;
  if (scaler_) {
    state["scaler.scale"] = scaler_->scale();
    state["scaler.good_steps"] = scaler_->good_steps();
  }
  return state;
}

void GradientStep::load_state(const std::map<std::string, torch::Tensor>& state) {
  models::load_state_(this->state(), state);
}

}  // namespace ibot::eval
