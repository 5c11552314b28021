#include "ibot/eval/segment_tuner.h"

#include <ATen/CPUGeneratorImpl.h>

#include "ibot/base/error.h"
#include "ibot/batch/normalization.h"
#include "ibot/nn/autocast_scope.h"
#include "ibot/optim/autocast.h"
#include "ibot/optim/layer_decay.h"

namespace ibot::eval {
namespace {

/// The schedule counts micro-batches; the loop counts updates.
int64_t updates(const SegmentOptions& options) { return options.iterations / options.accumulation; }

train::LoopOptions loop_options(const SegmentTunerOptions& options, const dist::Group& group,
                                torch::Device device) {
  const auto& segment = options.segment;
  const auto steps = options.steps_per_epoch;
  auto loop = train::loop_options(segment.run, device);
  loop.length = {(updates(segment) + steps - 1) / steps, steps,
                 segment.batch_size * segment.accumulation * group.size()};
  loop.max_steps = updates(segment);
  loop.needs_evaluation = true;
  loop.home = options.home;
  return loop;
}

GradientStepOptions step_options(const SegmentOptions& options) {
  return {.run = options.run,
          .accumulation = options.accumulation,
          .batch_size = options.batch_size,
          .clip_grad = options.clip_grad,
          .constants = {options.betas, options.eps},
          .seed = static_cast<uint64_t>(options.seed)};
}

std::vector<optim::Parameter> parameters_of(const segmentation::Segmentor& network,
                                            double layer_decay) {
  const auto& options = network.options();
  auto parameters = optim::dense_parameters(network, options.backbone.backbone, layer_decay);
  // The linear head has a plain AdamW: its bias decays too.
  return options.head == segmentation::HeadKind::kLinear
             ? optim::decayed_alike(std::move(parameters))
             : parameters;
}

}  // namespace

segmentation::SegmentorOptions segmentor_options(const SegmentOptions& options,
                                                 models::BackboneOptions backbone,
                                                 int64_t classes) {
  const bool linear = options.head == segmentation::HeadKind::kLinear;
  const auto patch = backbone.patch_size;
  check_option(options.transform.crop_size % patch == 0, "crop_size",
               "expected a multiple of backbone.patch_size ", patch, ", got ",
               options.transform.crop_size);
  // Position embeddings are resized to the crop when weights are loaded.
  backbone.image_size = options.transform.crop_size;
  // A frozen backbone runs in evaluation mode.
  backbone.drop_path = linear ? 0.0 : options.drop_path;
  return {.backbone = {.backbone = backbone,
                       .taps = options.taps,
                       .out_with_norm = options.out_with_norm,
                       .pyramid = !linear,
                       .frozen = linear},
          .head = options.head,
          .classes = classes,
          .channels = options.channels,
          .auxiliary_weight = options.auxiliary_weight,
          .dropout = options.dropout};
}

std::shared_ptr<segmentation::Segmentor> make_segmentor(
    const segmentation::SegmentorOptions& options, int64_t seed) {
  auto network = std::make_shared<segmentation::Segmentor>(options);
  segmentation::initialize_(*network,
                            at::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(seed)));
  return network;
}

std::unique_ptr<GradientStep> make_segment_step(
    const SegmentOptions& options, const std::shared_ptr<segmentation::Segmentor>& network,
    torch::Device device, const dist::Group& group) {
  network->set_group(group);
  return std::make_unique<GradientStep>(
      step_options(options), network, parameters_of(*network, options.layer_decay), device, group);
}

segmentation::SegmentationLoss segment_losses(segmentation::Segmentor& network,
                                              const torch::Tensor& images,
                                              const torch::Tensor& labels,
                                              optim::Precision precision) {
  const nn::AutocastScope autocast(images.device().type(),
                                   optim::autocast_dtype(precision, images.device()));
  return network.losses(images, labels);
}

SegmentTuner::SegmentTuner(const SegmentTunerOptions& options,
                           std::shared_ptr<segmentation::Segmentor> network, torch::Device device,
                           const dist::Group& group)
    : Loop(loop_options(options, group, device), group, device, {}),
      options_(options),
      network_(std::move(network)),
      step_(make_segment_step(options.segment, network_, device, group)) {}

void SegmentTuner::set_test(Test test) {
  set_evaluation([this, test = std::move(test)](int64_t epoch) { return this->test(epoch, test); });
}

train::Ending SegmentTuner::run(batch::BatchSource<batch::SegmentationBatch>& batches) {
  batches_ = &batches;
  network_->train();
  return Loop::run();
}

double segment_lr(const SegmentOptions& options, int64_t update) {
  const optim::PolySchedule schedule{.base = options.lr,
                                     .total_steps = options.iterations,
                                     .power = options.power,
                                     .warmup = {options.warmup_iterations, options.warmup_ratio}};
  // The rate at the last micro-batch of the update, when the optimizer takes its step.
  return schedule.at((update + 1) * options.accumulation - 1);
}

optim::StepValues SegmentTuner::values(int64_t step) const {
  return {.lr = segment_lr(options_.segment, step), .weight_decay = options_.segment.weight_decay};
}

segmentation::SegmentationLoss SegmentTuner::take_pass(const batch::SegmentationBatch& batch,
                                                       int64_t pass) {
  const auto device = step_->device();
  const auto images = batch::normalized_images(batch, device, options_.normalization);
  const auto labels = batch.label.to(device, /*non_blocking=*/true);
  network_->set_context(step_->context(pass));
  return segment_losses(*network_, images, labels, options_.segment.run.precision);
}

train::StepColumns SegmentTuner::take_step() {
  const auto passes = options_.segment.accumulation;
  std::vector<torch::Tensor> total, decode, auxiliary, correct;
  for (int64_t i = 0; i < passes; ++i) {
    const auto loss = take_pass(next_batch(*batches_), state().step * passes + i);
    step_->accumulate(loss.total, /*last=*/i + 1 == passes);
    total.push_back(loss.total.detach());
    decode.push_back(loss.decode.detach());
    if (loss.auxiliary.defined()) auxiliary.push_back(loss.auxiliary.detach());
    correct.push_back(loss.correct);
  }
  const auto [norm, faulty] = step_->update(values(state().step));
  const auto mean = [](const std::vector<torch::Tensor>& of) { return torch::stack(of).mean(); };
  train::StepColumns columns{.scalars = {{"loss", mean(total)},
                                         {"loss_decode", mean(decode)},
                                         {"grad_norm", norm},
                                         {"pixel_acc", mean(correct)}},
                             .faulty = faulty};
  if (!auxiliary.empty()) columns.scalars.emplace_back("loss_auxiliary", mean(auxiliary));
  return columns;
}

void SegmentTuner::load(std::map<std::string, torch::Tensor> tensors, bool) {
  step_->load_state(tensors);
}

void SegmentTuner::complete(train::EpochRecord& record) {
  record.lr = values(record.step - 1).lr;
  record.weight_decay = options_.segment.weight_decay;
}

std::optional<train::EvaluationRecord> SegmentTuner::test(int64_t epoch, const Test& test) {
  const auto every = options_.segment.test_every_epochs;
  const bool last = state().step >= updates(options_.segment);
  // The end of the run is tested by its caller.
  if (every == 0 || (epoch + 1) % every != 0 || last) return std::nullopt;
  network_->eval();
  const auto scores = test();
  network_->train();
  const double miou = 100 * scores.mean_iou;
  return train::EvaluationRecord{.epoch = epoch,
                                 .name = "test",
                                 .metrics = {{"miou", miou},
                                             {"macc", 100 * scores.mean_accuracy},
                                             {"aacc", 100 * scores.pixel_accuracy}},
                                 .score = miou,
                                 .identity = options_.home.identity,
                                 .log = {{"test_miou", miou}}};
}

torch::Tensor predict_labels(const segmentation::PixelNetwork& network,
                             const std::vector<torch::Tensor>& versions, at::IntArrayRef size,
                             const SegmentOptions& options,
                             const batch::Normalization& normalization, torch::Device device) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> images;
  for (const auto& version : versions) {
    images.push_back(batch::normalized(version.to(device), normalization));
  }
  const segmentation::SlidingOptions sliding{
      .crop = options.transform.crop_size, .stride = options.stride, .batch = options.window_batch};
  // A single version needs no softmax: the largest logit is the largest probability.
  const bool once = images.size() == 1 && !options.test_flip;
  const auto labels =
      once ? segmentation::predicted_labels(network, images.front(), size, sliding)
           : segmentation::mean_probabilities(network, images, options.test_flip, size, sliding)
                 .argmax(0);
  return labels.to(torch::kCPU, torch::kByte);
}

segmentation::PixelNetwork pixel_network(segmentation::Segmentor& segmentor,
                                         optim::Precision precision, torch::Device device) {
  return [&segmentor, precision, device](const torch::Tensor& images) {
    const torch::NoGradGuard no_grad;
    const nn::AutocastScope autocast(device.type(), optim::autocast_dtype(precision, device));
    return segmentor.forward(images);
  };
}

}  // namespace ibot::eval
