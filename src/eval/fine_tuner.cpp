#include "ibot/eval/fine_tuner.h"

#include <algorithm>

#include "ibot/base/error.h"
#include "ibot/base/rng.h"
#include "ibot/batch/mixing.h"
#include "ibot/io/safetensors.h"
#include "ibot/train/flops.h"

namespace ibot::eval {
namespace {

train::LoopOptions loop_options(const FineTunerOptions& options, FineTuneStep& step) {
  const auto& tune = step.options();
  const auto& backbone = step.classifier().options().backbone;
  auto loop = train::loop_options(tune.run, step.training().device());
  loop.length = {tune.epochs, options.steps_per_epoch,
                 tune.batch_size * tune.accumulation * step.training().group().size()};
  // A backward pass costs two forward passes.
  loop.flops_per_image = 3.0 * train::backbone_flops(backbone, backbone.image_size);
  loop.needs_evaluation = true;
  loop.home = options.home;
  return loop;
}

/// The batches of a step as the loader gave them, one below the other.
void write_batches(const std::filesystem::path& file, int64_t step,
                   const std::vector<batch::LabeledBatch>& batches) {
  std::vector<torch::Tensor> images, labels, ids;
  for (const auto& batch : batches) {
    images.push_back(batch.image);
    labels.push_back(batch.label);
    ids.push_back(batch.sample_id);
  }
  io::write_safetensors(file, {.tensors = {{"image", torch::cat(images)},
                                           {"label", torch::cat(labels)},
                                           {"sample_id", torch::cat(ids)}},
                               .metadata = {{"format", "ibot-labeled-batch"},
                                            {"step", std::to_string(step)},
                                            {"passes", std::to_string(batches.size())}}});
}

}  // namespace

FineTuner::FineTuner(const FineTunerOptions& options, FineTuneStep& step,
                     std::vector<train::Observer*> observers)
    : Loop(loop_options(options, step), step.training().group(), step.training().device(),
           std::move(observers)),
      options_(options),
      step_(step) {}

void FineTuner::set_test(Test test) {
  set_evaluation([this, test = std::move(test)](int64_t epoch) { return this->test(epoch, test); });
}

train::Ending FineTuner::run(batch::BatchSource<batch::LabeledBatch>& batches) {
  batches_ = &batches;
  return Loop::run();
}

optim::StepValues FineTuner::values(int64_t step) const {
  return fine_tune_values(step_.options(), options_.steps_per_epoch, step,
                          step_.training().group().size());
}

PassResult FineTuner::take_pass(const batch::LabeledBatch& loaded, int64_t pass, bool last) {
  const auto device = step_.training().device();
  const auto& mixing = options_.mixing;
  auto images =
      batch::normalized(loaded.image.to(device, /*non_blocking=*/true), options_.normalization);
  // Depends on the pass alone, so that a resumed run mixes as one that went through.
  Rng rng(static_cast<uint64_t>(step_.options().seed), static_cast<uint64_t>(pass), 0, kMixing);
  // Seeds the device's generator for this pass; stochastic depth draws from it next.
  batch::random_erase_(images, mixing, rng, *step_.training().context(pass).generator);
  const auto mixes = batch::draw_mixes(mixing, images.sizes(), rng);
  const auto mixed =
      batch::mix_images(images, loaded.label.to(device, /*non_blocking=*/true), mixes,
                        step_.classifier().options().classes, mixing.label_smoothing);
  return step_.accumulate(mixed.image, mixed.target, last);
}

// Pass `i` of rank `r` is that which a single process takes as its pass i * ranks + r.
train::StepColumns FineTuner::take_step() {
  const auto passes = step_.options().accumulation;
  const auto& group = step_.training().group();
  std::vector<torch::Tensor> losses, correct;
  std::vector<batch::LabeledBatch> batches;
  for (int64_t i = 0; i < passes; ++i) {
    const auto pass = (state().step * passes + i) * group.size() + group.rank();
    batches.push_back(next_batch(*batches_));
    const auto result = take_pass(batches.back(), pass, /*last=*/i + 1 == passes);
    losses.push_back(result.loss);
    correct.push_back(result.correct);
  }
  const auto [norm, faulty] = step_.update(values(state().step));
  set_replay([batches = std::move(batches)](const std::filesystem::path& file, int64_t step) {
    write_batches(file, step, batches);
  });
  // In half precision a norm may overflow now and then; the scaler takes care of that step.
  return {.scalars = {{"loss", torch::stack(losses).mean()},
                      {"grad_norm", norm},
                      {"class_acc", torch::stack(correct).mean()},
                      {"finite_norm", torch::nan_to_num(norm, 0.0, 0.0, 0.0)}},
          .faulty = faulty};
}

void FineTuner::load(std::map<std::string, torch::Tensor> tensors, bool) {
  step_.load_state(tensors);
}

void FineTuner::complete(train::EpochRecord& record) {
  // The reference logs the smallest rate of all layers.
  double lowest = 1.0;
  for (const auto& parameter : step_.training().optimizer().parameters()) {
    lowest = std::min(lowest, parameter.lr_scale);
  }
  record.lr = values(record.step - 1).lr;
  record.weight_decay = values(record.step - 1).weight_decay;
  record.more = {{"class_acc", record.at("class_acc")},
                 {"min_lr", record.lr * lowest},
                 {"grad_norm", record.at("finite_norm")},
                 {"loss_scale", step_.training().loss_scale()}};
}

std::optional<train::EvaluationRecord> FineTuner::test(int64_t epoch, const Test& test) {
  const auto& tune = step_.options();
  const auto done = epoch + 1;
  if (done % tune.test_every_epochs != 0 && done != tune.epochs) return std::nullopt;
  const auto accuracy = test(step_.classifier());
  train::EvaluationRecord record{
      .epoch = epoch,
      .name = "test",
      .metrics = {{"loss", accuracy.loss}, {"top1", accuracy.top1}, {"top5", accuracy.top5}},
      .score = accuracy.top1,
      .identity = options_.home.identity,
      .log = {{"test_loss", accuracy.loss},
              {"test_acc1", accuracy.top1},
              {"test_acc5", accuracy.top5}}};
  if (tune.test_ema) {
    const auto averaged = test(*step_.averaged()).top1;
    record.metrics["ema_top1"] = averaged;
    record.log.push_back({"test_ema_acc1", averaged});
  }
  return record;
}

}  // namespace ibot::eval
