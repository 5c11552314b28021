// Options of the optimizer.
#pragma once

#include <array>
#include <cstdint>

#include "ibot/base/enum_names.h"
#include "ibot/base/error.h"
#include "ibot/base/fields.h"

namespace ibot {
namespace optim {

enum class OptimizerKind { kAdamW, kAdam, kSgd, kNesterov, kLars };

/// Throws OptionError where Adam cannot work with them.
inline void validate_moments(const std::array<double, 2>& betas, double eps) {
  for (const double beta : betas) {
    check_option(beta >= 0 && beta < 1, "betas", "expected two in [0, 1), got [", betas[0], ", ",
                 betas[1], "]");
  }
  check_option(eps > 0, "eps", "expected above 0, got ", eps);
}

struct OptimOptions {
  OptimizerKind optimizer = OptimizerKind::kAdamW;
  double lr = 5e-4;
  double min_lr = 1e-6;
  double weight_decay = 0.04;
  double weight_decay_end = 0.4;
  double clip_grad = 3.0;
  int64_t freeze_last_layer = 1;
  std::array<double, 2> betas{0.9, 0.999};
  double eps = 1e-8;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("optimizer", optimizer,
          "adamw | adam | sgd | nesterov | lars, the last three with momentum");
    field("lr", lr, "peak learning rate for 256 images; scaled by the global batch over 256");
    field("min_lr", min_lr, "learning rate at the end of its cosine schedule; not scaled");
    field("weight_decay", weight_decay,
          "weight decay at the first step (biases and 1-D tensors: none)");
    field("weight_decay_end", weight_decay_end, "weight decay at the end of its cosine schedule");
    field("clip_grad", clip_grad, "largest L2 norm of each tensor's gradient; 0: no limit");
    field("freeze_last_layer", freeze_last_layer, "epochs in which prototypes do not move");
    field("betas", betas, "decay of the two moments of AdamW and Adam");
    field("eps", eps, "added to the square root of the second moment of AdamW and Adam");
  }

  void validate() const {
    check_option(lr > 0, "lr", "expected above 0, got ", lr);
    check_option(min_lr >= 0, "min_lr", "expected 0 or more, got ", min_lr);
    check_option(weight_decay >= 0, "weight_decay", "expected 0 or more, got ", weight_decay);
    check_option(weight_decay_end >= 0, "weight_decay_end", "expected 0 or more, got ",
                 weight_decay_end);
    check_option(clip_grad >= 0, "clip_grad", "expected 0 or more, got ", clip_grad);
    check_option(freeze_last_layer >= 0, "freeze_last_layer", "expected 0 or more, got ",
                 freeze_last_layer);
    validate_moments(betas, eps);
  }
};

}  // namespace optim

template <>
struct EnumNames<optim::OptimizerKind> {
  static constexpr std::array<std::pair<optim::OptimizerKind, std::string_view>, 5> values{
      {{optim::OptimizerKind::kAdamW, "adamw"},
       {optim::OptimizerKind::kAdam, "adam"},
       {optim::OptimizerKind::kSgd, "sgd"},
       {optim::OptimizerKind::kNesterov, "nesterov"},
       {optim::OptimizerKind::kLars, "lars"}}};
};

}  // namespace ibot
