#include "ibot/eval/linear_probe.h"

#include <cmath>
#include <numeric>

#include "ibot/base/error.h"
#include "ibot/eval/features.h"
#include "ibot/models/load_state.h"

namespace ibot::eval {
namespace {

constexpr const char* kLosses = "run.losses";
constexpr const char* kBest = "run.best";
constexpr const char* kBestWeight = "run.best_weight";
constexpr const char* kBestBias = "run.best_bias";

train::LoopOptions loop_options(const LinearProbeOptions& options, const dist::Group& group) {
  const auto& linear = options.linear;
  return {.length = {linear.epochs, options.steps_per_epoch, linear.batch_size * group.size()},
          // A classifier that diverges is left out; the others go on.
          .on_nonfinite = train::NonfinitePolicy::kOff,
          .needs_evaluation = true,
          .home = options.home};
}

/// Head, epoch, top-1, top-5: four numbers of a checkpoint.
torch::Tensor tensor_of(const LinearBest& best) {
  return torch::tensor(
      {static_cast<double>(best.head), static_cast<double>(best.epoch), best.top1, best.top5},
      torch::kDouble);
}

LinearBest best_of(const torch::Tensor& values) {
  const auto value = [&](int64_t i) { return values[i].item<double>(); };
  return {static_cast<int64_t>(value(0)), static_cast<int64_t>(value(1)), value(2), value(3)};
}

}  // namespace

LinearProbe::LinearProbe(const LinearProbeOptions& options, Features features, FeatureBank test,
                         torch::Device device, dist::Group group)
    : Loop(loop_options(options, group), group, device, {}),
      options_(options),
      features_(std::move(features)),
      test_(std::move(test)),
      group_(std::move(group)),
      heads_(linear_settings(options.linear, options.linear.batch_size * group_.size()),
             test_.features.size(1), options.classes, static_cast<uint64_t>(options.linear.seed),
             device),
      losses_(torch::zeros({static_cast<int64_t>(heads_.settings().size())}, device)) {
  eval::check_finite(test_.features, "linear", "test features");
  test_.features = test_.features.to(device);
  test_.labels = test_.labels.to(device);
  const auto state = heads_.state();
  best_weight_ = torch::zeros_like(state.at("weight")[0]);
  best_bias_ = torch::zeros_like(state.at("bias")[0]);
  set_evaluation([this](int64_t epoch) { return validate(epoch); });
}

train::Ending LinearProbe::run(batch::BatchSource<batch::LabeledBatch>& batches) {
  batches_ = &batches;
  return Loop::run();
}

double LinearProbe::listed_rate(int64_t head) const {
  const auto& rates = options_.linear.lr;
  // Heads of one listed rate follow each other; their own rates are scaled by the batch.
  return rates[head / (heads_.settings().size() / rates.size())];
}

/// The rows of all ranks, in the order in which one rank would have them: r, r + W, ….
torch::Tensor LinearProbe::whole_batch(const torch::Tensor& share) const {
  if (group_.size() == 1) return share;
  return group_.all_gather(share).transpose(0, 1).flatten(0, 1);  // [ranks, B, …] → [ranks·B, …]
}

train::StepColumns LinearProbe::take_step() {
  const auto batch = next_batch(*batches_);
  const auto features = whole_batch(features_(batch.image));
  const auto labels =
      whole_batch(batch.label.to(features.device(), /*non_blocking=*/true).contiguous());
  // Every rank takes the step of the whole batch: heads stay equal without an exchange of
  // gradients.
  const auto losses = heads_.step(features, labels, values(state().step).lr);
  losses_ += losses;
  return {.scalars = {{"loss", losses.min()}}};
}

optim::StepValues LinearProbe::values(int64_t step) const {
  // A factor, not a rate: each head has its own.
  return {.lr = linear_lr_factor(step / options_.steps_per_epoch, options_.linear.epochs)};
}

std::map<std::string, torch::Tensor> LinearProbe::tensors() {
  auto tensors = heads_.state();
  tensors[kLosses] = losses_;
  tensors[kBest] = torch::stack({tensor_of(best_), tensor_of(best_sgd_)});
  tensors[kBestWeight] = best_weight_;
  tensors[kBestBias] = best_bias_;
  return tensors;
}

void LinearProbe::load(std::map<std::string, torch::Tensor> tensors, bool) {
  const auto best = tensors.extract(kBest);
  IBOT_CHECK_AS(CheckpointError, !best.empty() && best.mapped().numel() == 8,
                "linear: expected run.best of 8 numbers");
  auto own = heads_.state();
  own[kLosses] = losses_;
  // Checkpoints of earlier versions lack it.
  const bool has_best = tensors.contains(kBestWeight);
  if (has_best) own.insert({{kBestWeight, best_weight_}, {kBestBias, best_bias_}});
  models::load_state_(own, tensors);
  best_ = best_of(best.mapped()[0]);
  best_sgd_ = best_of(best.mapped()[1]);
  if (!has_best) keep_best();
}

void LinearProbe::keep_best() {
  if (best_.head < 0) return;
  const auto state = heads_.state();
  best_weight_.copy_(state.at("weight")[best_.head]);
  best_bias_.copy_(state.at("bias")[best_.head]);
}

std::map<std::string, torch::Tensor> LinearProbe::classifiers() const {
  auto state = heads_.state();
  if (best_.head < 0) return state;
  for (const auto& [name, kept] : {std::pair{"weight", best_weight_}, {"bias", best_bias_}}) {
    state[name] = state[name].clone();
    state[name][best_.head].copy_(kept);
  }
  return state;
}

std::optional<train::EvaluationRecord> LinearProbe::validate(int64_t epoch) {
  const auto& linear = options_.linear;
  const auto done = epoch + 1;
  if (done % linear.val_every_epochs != 0 && done != linear.epochs) return std::nullopt;
  const auto hits = heads_.hits(test_.features, test_.labels);
  const auto& settings = heads_.settings();
  std::vector<int64_t> all(settings.size());
  std::iota(all.begin(), all.end(), 0);
  std::vector<int64_t> plain;
  for (const int64_t head : all) {
    // The sweep over rates alone, whose best the paper's protocol reports too.
    if (!settings[head].lars && settings[head].weight_decay == 0) plain.push_back(head);
  }
  const auto images = test_.labels.size(0);
  best_ = better_of(best_, hits, images, epoch, all);
  best_sgd_ = better_of(best_sgd_, hits, images, epoch, plain);
  if (best_.epoch == epoch) keep_best();
  if (on_best_ && best_.epoch == epoch) {
    std::vector<double> rates;
    for (const auto& setting : settings) rates.push_back(setting.lr);
    on_best_({epoch, linear_lr_factor(epoch, linear.epochs) * torch::tensor(rates, torch::kDouble),
              losses_ / static_cast<double>(options_.steps_per_epoch), hits, images});
  }
  train::EvaluationRecord record{
      .epoch = epoch, .name = "linear", .metrics = {{"top1", best_.top1}, {"top5", best_.top5}}};
  if (best_sgd_.head < 0) return record;
  record.metrics["top1_sgd"] = best_sgd_.top1;
  record.metrics["top5_sgd"] = best_sgd_.top5;
  return record;
}

}  // namespace ibot::eval
