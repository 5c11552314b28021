// Linear probing of labeled images, as part of a run or as a run of its own.
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "ibot/eval/linear_probe.h"
#include "ibot/eval/report.h"
#include "ibot/evaluation/extraction.h"
#include "ibot/loading/training_loader.h"

namespace ibot::evaluation {

/// The random crops that classifiers learn from.
data::TrainingLoaderOptions linear_crops(const eval::LinearOptions& options,
                                         const ExtractionOptions& extraction, torch::Device device,
                                         data::Share share = {});

/// Features of one step's crops, in forward passes of extraction.batch_size images: a step of many
/// takes no more memory.
///
///   crops    [B, 3, H, W]   uint8
///   returns  [B, F]         float32, on the subject's device
///
/// Throws DivergenceError where they are not finite.
torch::Tensor crop_features(const Subject& subject, const torch::Tensor& crops,
                            const ExtractionOptions& extraction);

/// Metrics and table of a probe that has ended: the best classifier, and with the ending _sgd the
/// best by SGD without weight decay, the published protocol. The score is the best top-1. Throws
/// DivergenceError where all have diverged.
eval::Report linear_report(const eval::LinearProbe& probe, const eval::LinearOptions& options);

}  // namespace ibot::evaluation
