#include "ibot/eval/detect_trainer.h"

#include "ibot/base/error.h"
#include "ibot/io/safetensors.h"

namespace ibot::eval {
namespace {

train::LoopOptions loop_options(const DetectTrainerOptions& options, const DetectStep& step) {
  const auto& detect = step.options();
  auto loop = train::loop_options(detect.run, step.training().device());
  loop.length = {detect.epochs, options.steps_per_epoch,
                 detect.batch_size * step.training().group().size()};
  loop.needs_evaluation = true;
  loop.home = options.home;
  return loop;
}

void write_batch(const std::filesystem::path& file, int64_t step,
                 const batch::DetectionBatch& batch) {
  io::Safetensors content{
      {{"image", batch.image}, {"size", batch.size}, {"sample_id", batch.sample_id}},
      {{"step", std::to_string(step)}}};
  for (size_t i = 0; i < batch.boxes.size(); ++i) {
    content.tensors[concat("boxes.", i)] = batch.boxes[i];
    content.tensors[concat("labels.", i)] = batch.labels[i];
  }
  io::write_safetensors(file, content);
}

}  // namespace

DetectTrainer::DetectTrainer(const DetectTrainerOptions& options, DetectStep& step,
                             std::vector<train::Observer*> observers)
    : Loop(loop_options(options, step), step.training().group(), step.training().device(),
           std::move(observers)),
      options_(options),
      step_(step) {}

void DetectTrainer::set_test(DetectTest test) {
  set_evaluation([this, test = std::move(test)](int64_t epoch) { return this->test(epoch, test); });
}

train::Ending DetectTrainer::run(batch::BatchSource<batch::DetectionBatch>& batches) {
  batches_ = &batches;
  return Loop::run();
}

optim::StepValues DetectTrainer::values(int64_t step) const {
  return detect_values(step_.options(), options_.steps_per_epoch, step);
}

train::StepColumns DetectTrainer::take_step() {
  auto batch = next_batch(*batches_);
  const auto result = step_.backward(batch, options_.normalization, state().step);
  const auto [norm, faulty] = step_.training().update(values(state().step));
  set_replay([batch = std::move(batch)](const std::filesystem::path& file, int64_t step) {
    write_batch(file, step, batch);
  });
  train::StepColumns columns{.scalars = {{"loss", result.loss}}, .faulty = faulty};
  for (const auto& [name, term] : result.terms) columns.scalars.emplace_back("loss_" + name, term);
  columns.scalars.emplace_back("grad_norm", norm);
  columns.scalars.emplace_back("region_acc", result.accuracy);
  return columns;
}

void DetectTrainer::complete(train::EpochRecord& record) {
  record.lr = values(record.step - 1).lr;
  record.more = {{"region_acc", record.at("region_acc")},
                 {"loss_scale", step_.training().loss_scale()}};
}

std::optional<train::EvaluationRecord> DetectTrainer::test(int64_t epoch, const DetectTest& test) {
  const auto& detect = step_.options();
  const auto done = epoch + 1;
  if (done % detect.test_every_epochs != 0 && done != detect.epochs) return std::nullopt;
  step_.detector()->eval();
  auto metrics = test(step_.detector());
  step_.detector()->train();
  train::EvaluationRecord record{.epoch = epoch,
                                 .name = "test",
                                 .metrics = metrics,
                                 .score = metrics.at("mask_ap"),
                                 .identity = options_.home.identity};
  for (const auto& [name, value] : metrics) record.log.push_back({"test_" + name, value});
  return record;
}

}  // namespace ibot::eval
