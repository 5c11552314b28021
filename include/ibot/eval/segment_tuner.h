// Training of a segmentor as a loop, and its test.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ibot/batch/batch_source.h"
#include "ibot/batch/normalization_options.h"
#include "ibot/batch/segmentation_batch.h"
#include "ibot/eval/gradient_step.h"
#include "ibot/eval/segment_options.h"
#include "ibot/metrics/segmentation.h"
#include "ibot/segmentation/inference.h"
#include "ibot/segmentation/segmentor.h"
#include "ibot/train/loop.h"

namespace ibot::eval {

/// The network that the options describe, on a backbone of these options; its images are squares of
/// crop_size while it trains. Throws OptionError where the backbone has no such network.
segmentation::SegmentorOptions segmentor_options(const SegmentOptions& options,
                                                 models::BackboneOptions backbone, int64_t classes);

/// A network with initial values drawn from options.seed.
std::shared_ptr<segmentation::Segmentor> make_segmentor(
    const segmentation::SegmentorOptions& options, int64_t seed);

/// The step of such a run; the network moves to the device. Throws OptionError where that lacks the
/// precision.
std::unique_ptr<GradientStep> make_segment_step(
    const SegmentOptions& options, const std::shared_ptr<segmentation::Segmentor>& network,
    torch::Device device, const dist::Group& group = {});

/// The losses of a batch, with matrix products in that precision.
segmentation::SegmentationLoss segment_losses(segmentation::Segmentor& network,
                                              const torch::Tensor& images,
                                              const torch::Tensor& labels,
                                              optim::Precision precision);

struct SegmentTunerOptions {
  SegmentOptions segment;
  batch::Normalization normalization;
  int64_t steps_per_epoch = 0;  // updates
  train::RunHome home;
};

/// Trains from a source of batches and keeps the newest network, and of those that it tests the
/// best. Of several ranks each has its share of the batches, and batch normalization takes its
/// statistics over all of them.
///
/// Its records have the terms `decode` and `auxiliary` and the column `pixel_acc`, the share of all
/// pixels, ignored ones included, that are right.
class SegmentTuner final : public train::Loop {
 public:
  using Test = std::function<metrics::SegmentationScores()>;

  /// Throws OptionError where the device lacks the precision.
  SegmentTuner(const SegmentTunerOptions& options, std::shared_ptr<segmentation::Segmentor> network,
               torch::Device device, const dist::Group& group = {});

  /// All ranks test together, before the last epoch as test_every_epochs says.
  void set_test(Test test);

  /// As Loop::run, from batches that begin where the state stands; each update takes `accumulation`
  /// of them.
  train::Ending run(batch::BatchSource<batch::SegmentationBatch>& batches);

 private:
  train::StepColumns take_step() override;
  optim::StepValues values(int64_t step) const override;
  std::map<std::string, torch::Tensor> tensors() override { return step_->state(); }
  void load(std::map<std::string, torch::Tensor> tensors, bool roll_back) override;
  void complete(train::EpochRecord& record) override;
  std::string advice() const override { return "a lower lr, clip_grad or bf16"; }

  segmentation::SegmentationLoss take_pass(const batch::SegmentationBatch& batch, int64_t pass);
  std::optional<train::EvaluationRecord> test(int64_t epoch, const Test& test);

  SegmentTunerOptions options_;
  std::shared_ptr<segmentation::Segmentor> network_;
  std::unique_ptr<GradientStep> step_;
  batch::BatchSource<batch::SegmentationBatch>* batches_ = nullptr;
};

/// The learning rate of an update; gradient accumulation counts every iteration.
double segment_lr(const SegmentOptions& options, int64_t update);

/// The predicted labels of an image: [H, W], uint8.
///
///   versions  [3, h, w]   uint8, the image in each size that is averaged over
///   height, width         of the result
torch::Tensor predict_labels(const segmentation::PixelNetwork& network,
                             const std::vector<torch::Tensor>& versions, at::IntArrayRef size,
                             const SegmentOptions& options,
                             const batch::Normalization& normalization, torch::Device device);

/// The segmentor in evaluation mode, its products in that precision and without gradients.
segmentation::PixelNetwork pixel_network(segmentation::Segmentor& segmentor,
                                         optim::Precision precision, torch::Device device);

}  // namespace ibot::eval
