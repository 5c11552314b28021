#include "ibot/train/step.h"

#include <ATen/Context.h>

#include "ibot/base/error.h"
#include "ibot/base/rng.h"
#include "ibot/models/load_state.h"
#include "ibot/nn/autocast_scope.h"
#include "ibot/optim/autocast.h"
#include "ibot/optim/faulty_step.h"

namespace ibot::train {
namespace {

at::Generator make_generator(torch::Device device) {
  return at::globalContext().defaultGenerator(device).clone();
}

/// Fraction of images for which the teacher in the first and the student in the second view choose
/// the same prototype.
torch::Tensor agreement(const torch::Tensor& cluster, const torch::Tensor& student_logits) {
  const auto images = cluster.size(0);
  // Raw scores, neither centered nor sharpened, as in the reference.
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

TrainStep::TrainStep(const StepOptions& options, torch::Device device, dist::Group group)
    : options_(options),
      device_(device),
      group_(std::move(group)),
      generator_(make_generator(device)) {
  options_.precision = optim::resolved(options.precision, device, "train.precision");
  networks_ = std::make_shared<StudentTeacher>(options.backbone, options.head, options.seed);
  networks_->to(device);
  loss_ = loss::IbotLoss(options.loss, options.head.prototypes,
                         networks_->teacher().head->patch_prototypes());
  loss_->to(device);
  for (auto* network : {&networks_->student(), &networks_->teacher()}) {
    network->head->set_group(group_);
  }
  // The head's batch norm follows the batch in both networks; drop path is the student's alone.
  networks_->train();
  optimizer_.emplace(options.optim.optimizer, optim::trained_parameters(networks_->student()),
                     options.shard_optimizer ? group_ : dist::Group(),
                     optim::OptimizerConstants{options.optim.betas, options.optim.eps});
  std::vector<torch::Tensor> trained;
  for (const auto& parameter : optimizer_->parameters()) trained.push_back(parameter.tensor);
  gradients_.emplace(std::move(trained), group_, options.compress_gradients);
  averaged_ = optim::common_parameters(networks_->teacher(), networks_->student());
  if (options_.precision == Precision::kFp16) scaler_.emplace(device);
}

struct TrainStep::Sums {
  double weight = 1.0;  // 1 / number of micro-batches
  StepResult result;
  std::vector<torch::Tensor> clusters;
  // [K + K' + 1]: means of the teacher's class scores and patch scores, and whether the loss is not
  // finite; one all-reduce for all three.
  torch::Tensor means;
  dist::Pending means_reduced;
};

// Every micro-batch restarts the generator and takes its own slice of the numbers, so drop path is
// a function of an image's position in the whole batch.
void TrainStep::prepare(int64_t part, int64_t parts, int64_t images, int64_t step) {
  // From the step alone: a resumed run draws what an uninterrupted one would.
  auto draw = Rng(options_.seed, static_cast<uint64_t>(step), 0, kDevice);
  generator_.set_current_seed(draw.bits());
  const auto ranks = group_.size();
  networks_->student().backbone->set_context(
      {.generator = generator_,
       .slice =
           {.whole = parts * images * ranks,
            .images = images,
            // Image i of this part is number (part · images + i) · ranks + rank of the whole batch.
            .first = part * images * ranks + group_.rank(),
            .stride = ranks},
       .recompute = options_.checkpoint_activations});
}

void TrainStep::add_part(const batch::MultiCropBatch& batch, const StepInputs& inputs, bool last,
                         Sums& sums) {
  const auto add = [](torch::Tensor& sum, const torch::Tensor& part) {
    sum = sum.defined() ? sum + part : part;
  };
  loss::LossTerms loss;
  {
    const nn::AutocastScope autocast(device_.type(),
                                     optim::autocast_dtype(options_.precision, device_));
    const auto teacher = networks_->teacher_forward(batch);
    const auto student = networks_->student_forward(batch);
    if (inputs.watch && last) {
      sums.result.health =
          sample_health(loss_->targets(teacher, inputs.temperatures), teacher.class_token,
                        loss_->center(), loss_->patch_center(), batch.sample_id.size(0));
    }
    loss = loss_->forward(student, teacher, {batch.pairs.weight, batch.pairs.views},
                          options_.global_views, inputs.temperatures);
    const torch::NoGradGuard no_grad;
    sums.clusters.push_back(teacher.class_logits.narrow(0, 0, batch.sample_id.size(0)).argmax(-1));
    add(sums.result.agreement, agreement(sums.clusters.back(), student.class_logits) * sums.weight);
    // Of raw scores, before center and temperature.
    const auto class_mean = teacher.class_logits.to(torch::kFloat).mean(0);  // [K]
    add(sums.means, torch::cat({class_mean, teacher.patch_mean.to(torch::kFloat)}) * sums.weight);
  }
  add(sums.result.loss.total, loss.total.detach() * sums.weight);
  auto& terms = sums.result.loss.terms;
  terms.resize(loss.terms.size());
  for (size_t i = 0; i < terms.size(); ++i) {
    terms[i].name = loss.terms[i].name;
    terms[i].weight = loss.terms[i].weight;
    add(terms[i].value, loss.terms[i].value.detach() * sums.weight);
  }
  if (last) {
    // All micro-batches have been summed: the all-reduce of the means overlaps with the backward
    // pass.
    const auto not_finite = sums.result.loss.total.isfinite().logical_not();
    sums.means = torch::cat({sums.means, not_finite.to(torch::kFloat).view(1)});
    sums.means_reduced = group_.start_all_reduce_(sums.means, dist::Reduction::kMean);
    gradients_->begin();
  }
  // The mean over micro-batches of means is the mean over the batch: they are of equal size.
  const auto part = loss.total * sums.weight;
  (scaler_ ? scaler_->scaled(part) : part).backward();
}

// Centers move after the loss: targets of all micro-batches and ranks use the centers before the
// step.
void TrainStep::move_centers(Sums& sums) {
  // Started before the backward pass, whose work has hidden it.
  sums.means_reduced.wait();
  const auto classes = options_.head.prototypes;
  loss_->move_centers_(sums.means.narrow(0, 0, classes),
                       sums.means.narrow(0, classes, sums.means.size(0) - classes - 1));
}

StepResult TrainStep::run(const std::vector<batch::MultiCropBatch>& parts,
                          const StepInputs& inputs) {
  const auto count = static_cast<int64_t>(parts.size());
  IBOT_CHECK_AS(ConfigError, count == 1 || !networks_->student().head->mixes_tokens(),
                "train.accumulate_steps: expected 1 with batch norm in the head, whose statistics "
                "need the whole batch, got ",
                count);
  networks_->student().zero_grad();
  Sums sums{.weight = 1.0 / static_cast<double>(count)};
  for (int64_t part = 0; part < count; ++part) {
    const auto& batch = parts[static_cast<size_t>(part)];
    prepare(part, count, batch.sample_id.size(0), inputs.step);
    add_part(batch, inputs, part + 1 == count, sums);
  }
  gradients_->finish();
  move_centers(sums);
  std::optional<optim::Overflow> overflow;
  if (scaler_) {
    // Unscaled before clipping: clip_grad bounds the true gradients.
    overflow = optim::Overflow{scaler_->unscale_(optim::gradients_of(optimizer_->parameters()))};
  }
  sums.result.grad_norm =
      optim::clip_gradients_(optimizer_->parameters(), options_.optim.clip_grad);
  if (inputs.skip_nonfinite) {
    const auto loss_is_bad = sums.means.select(0, sums.means.size(0) - 1);
    sums.result.faulty = optim::leave_out_nonfinite_(loss_is_bad, sums.result.grad_norm, overflow,
                                                     scaler_ ? &*scaler_ : nullptr);
  }
  optimizer_->step(inputs.values, overflow);
  if (scaler_) scaler_->update(overflow->found);
  // After the update, as in the reference: the teacher averages the new student.
  optim::ema_update_(averaged_, inputs.values.momentum_teacher);
  sums.result.cluster = torch::cat(sums.clusters);
  return sums.result;
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
  models::load_state_(this->state(), state);
}

}  // namespace ibot::train
