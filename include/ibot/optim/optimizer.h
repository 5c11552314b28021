// The optimizers behind one face.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ibot/dist/group.h"
#include "ibot/optim/optim_options.h"
#include "ibot/optim/parameters.h"
#include "ibot/optim/schedule.h"

namespace ibot::optim {

/// Whether a step must not count; gradients are already unscaled.
struct Overflow {
  torch::Tensor found;  // float32 scalar on the device: 1 when one is not finite, else 0
};

/// What one kind or another needs besides: of AdamW and Adam the decay of both moments and what
/// keeps the quotient finite, of the others the momentum.
struct OptimizerConstants {
  std::array<double, 2> betas{0.9, 0.999};
  double eps = 1e-8;
  double momentum = 0.9;
};

/// AdamW, Adam, SGD with momentum, or LARS over one list of parameters. A tensor without gradient,
/// or frozen, is left alone entirely: no decay, no moments, no step count.
///
/// AdamW: decoupled decay (Loshchilov & Hutter 2019).
/// Adam: decay added to the gradient (Kingma & Ba 2015, as in torch).
/// SGD, and with Nesterov's momentum: decay added to the gradient (as in torch).
/// LARS: trust ratio 0.001; 1-D tensors have neither trust ratio nor decay (You et
/// al. 2017, as in reference `utils.py`).
///
/// Shared out over several ranks, each holds the moments of its part of the tensors, updates those
/// and receives the others; every rank gives the same gradients (Rajbhandari et al. 2020, ZeRO
/// stage 1).
class Optimizer {
 public:
  Optimizer(OptimizerKind kind, std::vector<Parameter> parameters, dist::Group shards = {},
            const OptimizerConstants& constants = {});

  /// One update from the gradients at hand. With `overflow`, nothing changes when it says so, which
  /// the device decides without the host.
  void step(const StepValues& values, const std::optional<Overflow>& overflow = {});

  const std::vector<Parameter>& parameters() const { return parameters_; }

  /// Moments and step counts by name, such as `exp_avg.backbone.cls_token`; what a checkpoint
  /// holds. Those of this rank share storage with the optimizer, the others' are copies in host
  /// memory, for which all ranks have to ask together.
  std::map<std::string, torch::Tensor> state() const;
  /// Takes back what state() gave. Throws CheckpointError on a missing entry or another shape.
  void load_state(const std::map<std::string, torch::Tensor>& state);

 private:
  void update_(const std::vector<size_t>& active, const StepValues& values,
               const std::optional<Overflow>& overflow);
  void adam_(const std::vector<size_t>& active, const StepValues& values,
             const std::optional<Overflow>& overflow);
  void guarded_(const std::vector<size_t>& active, const StepValues& values,
                const Overflow& overflow);
  void unguarded_(const std::vector<size_t>& active, const StepValues& values);
  void sgd_(const std::vector<size_t>& active, const StepValues& values);
  void lars_(const std::vector<size_t>& active, const StepValues& values);

  bool has_second_moments() const {
    return kind_ == OptimizerKind::kAdamW || kind_ == OptimizerKind::kAdam;
  }
  bool owns(size_t index) const { return owners_[index] == shards_.rank(); }
  /// Brings every rank the parameters that the others have updated.
  void exchange_();

  OptimizerKind kind_;
  OptimizerConstants constants_;
  std::vector<Parameter> parameters_;
  dist::Group shards_;
  std::vector<int64_t> owners_;       // the rank of each parameter; moments of others are undefined
  std::vector<torch::Tensor> first_;  // exp_avg, or momentum
  std::vector<torch::Tensor> second_;  // exp_avg_sq; AdamW and Adam alone
  std::vector<torch::Tensor> steps_;   // float32 scalars on the parameters' device
};

}  // namespace ibot::optim
