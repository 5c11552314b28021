// Options that all training on labels shares: how a run is computed, kept and logged.
#pragma once

#include <cstdint>
#include <utility>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/optim/precision_options.h"
#include "ibot/train/fault_options.h"

namespace ibot::eval {

/// Listed by the options of a task among its own keys: `finetune.precision`, `detect.precision`.
struct RunOptions {
  optim::Precision precision = optim::Precision::kAuto;
  train::NonfinitePolicy on_nonfinite = train::NonfinitePolicy::kOn;
  int64_t log_every_steps = 10;
  int64_t save_every_epochs = 0;
  int64_t save_every_steps = 0;
  bool checkpoint_activations = false;
  bool shard_optimizer = false;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("precision", precision, optim::kPrecisionText);
    field(
        "on_nonfinite", on_nonfinite,
        "loss or gradient not finite: off, train on | on, skip the step, then roll back, then end "
        "| strict, end",
        Effect::kNone);
    field("log_every_steps", log_every_steps, "steps between lines of metrics.jsonl",
          Effect::kNone);
    field("save_every_epochs", save_every_epochs,
          "keep a checkpoint of every so many epochs; 0: none", Effect::kNone);
    field("save_every_steps", save_every_steps,
          "renew the last checkpoint within an epoch every so many steps; 0: at its end only",
          Effect::kNone);
    field("checkpoint_activations", checkpoint_activations,
          "compute each block's activations again in the backward pass, for less memory",
          Effect::kNone);
    field("shard_optimizer", shard_optimizer,
          "each rank keeps the optimizer's moments of a part of the tensors only", Effect::kNone);
  }

  void validate() const {
    check_option(log_every_steps > 0, "log_every_steps", "expected above 0, got ", log_every_steps);
    for (const auto& [key, value] : {std::pair{"save_every_epochs", save_every_epochs},
                                     {"save_every_steps", save_every_steps}}) {
      check_option(value >= 0, key, "expected 0 or more, got ", value);
    }
  }
};

}  // namespace ibot::eval
