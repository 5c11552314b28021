// Options that all training shares: how a run is computed, kept and logged.
#pragma once

#include <cstdint>
#include <utility>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/optim/precision_options.h"
#include "ibot/train/fault_options.h"

namespace ibot::train {

/// Listed by each kind of training among its own keys: `train.precision`, `finetune.precision`.
struct RunOptions {
  // What affects results.
  optim::Precision precision = optim::Precision::kAuto;

  // What affects speed, memory, and what is kept.
  NonfinitePolicy on_nonfinite = NonfinitePolicy::kOn;
  int64_t log_every_steps = 10;
  int64_t save_every_epochs = 0;
  int64_t save_every_steps = 0;
  bool checkpoint_activations = false;
  bool shard_optimizer = false;

  template <class Visitor>
  void fields(Visitor&& field) {
    field("precision", precision, optim::kPrecisionText);
    field("on_nonfinite", on_nonfinite,
          "non-finite loss or gradient: off (ignore) | on (skip the step, then roll back, then "
          "end) | strict (end)",
          Effect::kNone);
    field("log_every_steps", log_every_steps, "steps between lines of metrics.jsonl",
          Effect::kNone);
    field("save_every_epochs", save_every_epochs, "keep a checkpoint every N epochs; 0: none",
          Effect::kNone);
    field("save_every_steps", save_every_steps,
          "update the last checkpoint every N steps; 0: only at the end of an epoch",
          Effect::kNone);
    field("checkpoint_activations", checkpoint_activations,
          "activation checkpointing: recompute activations in the backward pass; saves memory",
          Effect::kNone);
    field("shard_optimizer", shard_optimizer, "shard optimizer moments over ranks; saves memory",
          Effect::kNone);
  }

  void validate() const {
    check_option(log_every_steps > 0, "log_every_steps", "expected above 0, got ", log_every_steps);
    for (const auto& [key, value] : {std::pair{"save_every_epochs", save_every_epochs},
                                     {"save_every_steps", save_every_steps}}) {
      check_option(value >= 0, key, "expected 0 or more, got ", value);
    }
  }
};

}  // namespace ibot::train
