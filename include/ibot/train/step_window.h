// Results of steps, collected on the device.
#pragma once

#include <torch/types.h>

#include <string>
#include <vector>

#include "ibot/dist/group.h"
#include "ibot/train/run_state.h"

namespace ibot::train {

/// Scalars of a step, on the device, with the same names in every step, including "loss".
/// "loss_NAME" is a term of the loss, "grad_norm", if present, the norm of the gradient; all others
/// are averaged over the epoch.
///
///   faulty  float32 scalar, 1 if the step does not count; undefined if all do
struct StepColumns {
  std::vector<std::pair<std::string, torch::Tensor>> scalars;
  torch::Tensor faulty = {};
};

/// Results of the steps of a window, on the host, averaged over ranks.
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
  /// Sums of the loss terms, in their order.
  TermValues term_sums() const;
  /// Sums of the columns other than losses and gradient norm.
  TermValues more_sums() const;
};

/// Collects results of steps without synchronizing; read() is the only place that waits for the
/// device.
class StepWindow {
 public:
  void add(StepColumns step);
  bool empty() const { return rows_.empty(); }

  /// Everything since the last read. All ranks must call it together. Throws Error if a rank was
  /// lost.
  WindowResults read(const dist::Group& group);

 private:
  std::vector<std::string> columns_;
  std::vector<torch::Tensor> rows_;
};

}  // namespace ibot::train
