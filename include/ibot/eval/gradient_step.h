// One step of training a network on its losses, as fine-tuning, segmentation and detection do.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ibot/dist/grad_sync.h"
#include "ibot/nn/block_context.h"
#include "ibot/optim/grad_scaler.h"
#include "ibot/optim/optimizer.h"
#include "ibot/train/run_options.h"

namespace ibot::eval {

///   accumulation   passes whose gradients make one update
///   batch_size     images of a pass on each rank, for draws that do not depend on the number of
///                  ranks; 0: draws are made for the images at hand
///   clip_grad      largest norm of the whole gradient; 0: no limit
struct GradientStepOptions {
  train::RunOptions run;
  int64_t accumulation = 1;
  int64_t batch_size = 0;
  double clip_grad = 0.0;
  optim::OptimizerKind optimizer = optim::OptimizerKind::kAdamW;
  optim::OptimizerConstants constants;
  uint64_t seed = 0;
};

/// Of one update; still on the device.
struct UpdateResult {
  torch::Tensor grad_norm;  // before clipping
  torch::Tensor faulty;     // as train::StepColumns; undefined unless run.on_nonfinite is on
};

/// A network in training mode with its optimizer, gradients averaged over ranks, and in fp16 a loss
/// scaler. Equal options, state and losses give equal results on one device and thread count.
class GradientStep {
 public:
  /// Moves the network to the device. Throws OptionError where the device lacks the precision.
  GradientStep(const GradientStepOptions& options, std::shared_ptr<torch::nn::Module> network,
               std::vector<optim::Parameter> parameters, torch::Device device,
               dist::Group group = {});

  /// How blocks run in pass `pass` of the run, counted over ranks as one: what drop path and
  /// dropout drop is that of the whole batch, of which rank r has the images r, r + ranks, ….
  nn::BlockContext context(int64_t pass);

  /// Backward from the mean loss of a pass; gradients add up until update(). `last`: no further
  /// pass comes before it, so that gradients may be averaged over ranks.
  void accumulate(const torch::Tensor& loss, bool last = true);
  /// Where run.on_nonfinite is on, a loss or gradient that is not finite leaves weights and moments
  /// as they are.
  UpdateResult update(const optim::StepValues& values);

  const optim::Optimizer& optimizer() const { return *optimizer_; }
  const GradientStepOptions& options() const { return options_; }
  torch::Device device() const { return device_; }
  const dist::Group& group() const { return group_; }
  /// 1 without a scaler.
  double loss_scale() const;

  /// Everything the next step depends on, by name: `model.…`, `optim.…`, `scaler.…`; for which all
  /// ranks ask together.
  std::map<std::string, torch::Tensor> state() const;
  /// Takes back what state() gave. Throws CheckpointError as models::load_state_.
  void load_state(const std::map<std::string, torch::Tensor>& state);

 private:
  GradientStepOptions options_;
  torch::Device device_;
  dist::Group group_;
  at::Generator generator_;
  std::shared_ptr<torch::nn::Module> network_;
  std::optional<optim::Optimizer> optimizer_;
  std::optional<dist::GradSync> gradients_;
  std::optional<optim::GradScaler> scaler_;
  torch::Tensor bad_losses_;  // passes since the last update whose loss is not finite
};

}  // namespace ibot::eval
