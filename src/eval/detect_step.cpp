#include "ibot/eval/detect_step.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>

#include "ibot/base/error.h"
#include "ibot/base/rng.h"
#include "ibot/models/architecture.h"
#include "ibot/nn/autocast_scope.h"
#include "ibot/optim/autocast.h"
#include "ibot/optim/layer_decay.h"
#include "ibot/optim/schedule.h"

namespace ibot::eval {
namespace {

nn::PositionGrid position_grid(const DetectOptions& options,
                               const models::BackboneOptions& backbone) {
  const int64_t height = options.position_size[0];
  const int64_t width = options.position_size[1];
  // Swin has no position embeddings.
  const bool stored = !models::architecture_of(backbone.arch).hierarchical && height > 0;
  if (!stored) return {};
  check_option(height % backbone.patch_size == 0 && width % backbone.patch_size == 0,
               "position_size", "expected multiples of backbone.patch_size ", backbone.patch_size,
               ", got ", height, " and ", width);
  return {height / backbone.patch_size, width / backbone.patch_size};
}

}  // namespace

detection::Detector build_detector(const DetectOptions& options,
                                   const models::BackboneOptions& backbone, int64_t classes) {
  dense::DenseOptions dense{.backbone = backbone,
                            .taps = options.taps,
                            // The reference's detectors take the blocks' outputs as they are.
                            .out_with_norm = false,
                            .position_rule = dense::PositionRule::kGrid,
                            .positions = position_grid(options, backbone)};
  dense.backbone.drop_path = options.drop_path;
  detection::DetectionOptions detection;
  detection.classes = classes;
  detection.channels = options.channels;
  detection.hidden = options.hidden;
  detection.train_proposals.per_level = detection.train_proposals.most = options.train_proposals;
  detection.test_proposals.per_level = detection.test_proposals.most = options.test_proposals;
  detection.anchors_sampled = options.anchors_sampled;
  detection.regions_sampled = options.regions_sampled;
  detection.synced_losses = options.synced_losses;
  return detection::Detector(dense, detection);
}

void initialize_(detection::DetectorImpl& detector, int64_t seed) {
  detector.initialize_(at::detail::createCPUGenerator(static_cast<uint64_t>(seed)));
}

detection::PredictionOptions prediction_options(const DetectOptions& options) {
  detection::PredictionOptions prediction{.least_score = options.least_score,
                                          .threshold = options.nms_threshold,
                                          .most = options.max_detections};
  if (options.suppression == Suppression::kHard) return prediction;
  boxes::SoftNmsOptions soft{.threshold = options.nms_threshold};
  // A box that soft suppression lowers must not be dropped before `least_score` judges it.
  soft.least_score = std::min(options.least_score, soft.least_score);
  soft.softening = options.suppression == Suppression::kSoftNaive    ? boxes::Softening::kNaive
                   : options.suppression == Suppression::kSoftLinear ? boxes::Softening::kLinear
                                                                     : boxes::Softening::kGaussian;
  prediction.soft = soft;
  return prediction;
}

optim::StepValues detect_values(const DetectOptions& options, int64_t steps_per_epoch,
                                int64_t step) {
  const optim::MultiStepSchedule schedule{.base = options.lr,
                                          .factor = options.decay_rate,
                                          .decay_epochs = options.decay_epochs,
                                          .steps_per_epoch = steps_per_epoch,
                                          .warmup = {options.warmup_steps, options.warmup_ratio}};
  optim::StepValues values;
  values.lr = schedule.at(step);
  values.weight_decay = options.weight_decay;
  return values;
}

DetectStep::DetectStep(const DetectOptions& options, const models::BackboneOptions& backbone,
                       detection::Detector detector, torch::Device device, dist::Group group)
    : options_(options),
      detector_(std::move(detector)),
      training_({.run = options.run,
                 .batch_size = options.batch_size,
                 .clip_grad = options.clip_grad,
                 .seed = static_cast<uint64_t>(options.seed)},
                detector_.ptr(), optim::dense_parameters(*detector_, backbone, options.layer_decay),
                device, std::move(group)) {
  detector_->set_group(training_.group());
}

std::vector<detection::ImageTruth> DetectStep::truths_of(const batch::DetectionBatch& batch,
                                                         int64_t step) const {
  std::vector<detection::ImageTruth> truths;
  for (size_t i = 0; i < batch.boxes.size(); ++i) {
    const auto image = static_cast<int64_t>(i);
    truths.push_back(
        {.size = {batch.size[image][0].item<int64_t>(), batch.size[image][1].item<int64_t>()},
         .boxes = batch.boxes[i].to(training_.device()),
         .labels = batch.labels[i].to(training_.device()),
         .masks = batch.masks[i],
         .draw = Rng(static_cast<uint64_t>(options_.seed), static_cast<uint64_t>(step),
                     batch.sample_id[image].item<int64_t>(), kMixing)});
  }
  return truths;
}

DetectResult DetectStep::backward(const batch::DetectionBatch& batch,
                                  const batch::Normalization& normalization, int64_t step) {
  const auto device = training_.device();
  detector_->backbone().set_context(training_.context(step));
  const auto images = batch::padded_normalized(batch.image.to(device, /*non_blocking=*/true),
                                               batch.size, normalization);
  // Samples of anchors and regions depend on seed, step and image alone, not on ranks.
  auto truths = truths_of(batch, step);
  detection::TrainPass pass;
  {
    const nn::AutocastScope autocast(device.type(),
                                     optim::autocast_dtype(options_.run.precision, device));
    pass = detector_->train_pass(detector_->levels(images), truths,
                                 {batch.image.size(2), batch.image.size(3)});
  }
  DetectResult result{.terms = pass.terms(), .accuracy = pass.stages.front().accuracy};
  for (auto& [name, term] : result.terms) {
    result.loss = result.loss.defined() ? result.loss + term : term;
    term = term.detach();
  }
  training_.accumulate(result.loss);
  result.loss = result.loss.detach();
  return result;
}

}  // namespace ibot::eval
