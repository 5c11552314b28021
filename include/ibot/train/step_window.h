// Results of steps that wait on the device.
#pragma once

#include <torch/types.h>

#include <string>
#include <vector>

#include "ibot/dist/group.h"
#include "ibot/train/run_state.h"

namespace ibot::train {

/// What a step leaves on the device: scalars, of the same names in every step, "loss" among them.
/// "loss_NAME" is a term of the loss, "grad_norm", where there is one, the gradient's norm; the
/// means over an epoch of all others are the epoch's.
///
///   faulty  float32 scalar, 1 where the step does not count; undefined where all do
struct StepColumns {
  std::vector<std::pair<std::string, torch::Tensor>> scalars;
  torch::Tensor faulty = {};
};

/// What a window's steps gave, on the host, as means over ranks.
class WindowResults {
 public:
  torch::Tensor rows;  // [steps, columns], float64
  std::vector<std::string> columns;

  bool has(const std::string& name) const;
  /// The values of one column, [steps].
  torch::Tensor column(const std::string& name) const;
  /// The rows of the steps that count.
  WindowResults counted() const;
  int64_t steps() const { return rows.size(0); }
  double sum(const std::string& name) const;
  /// Sums of the loss's terms, in their order.
  TermValues term_sums() const;
  /// Sums of the columns that are neither losses nor the gradient's norm.
  TermValues more_sums() const;
};

/// Gathers the results of steps without waiting for the device; read() is the one place that does.
class StepWindow {
 public:
  void add(StepColumns step);
  bool empty() const { return rows_.empty(); }

  /// Everything since the last read. All ranks read together. Throws Error where a rank was lost.
  WindowResults read(const dist::Group& group);

 private:
  std::vector<std::string> columns_;
  std::vector<torch::Tensor> rows_;
};

}  // namespace ibot::train
