// Results of steps that wait on the device.
#pragma once

#include <torch/types.h>

#include <optional>
#include <string>
#include <vector>

#include "ibot/dist/group.h"
#include "ibot/train/health.h"
#include "ibot/train/observer.h"
#include "ibot/train/step.h"

namespace ibot::train {

/// What a window's steps gave, on the host and over all ranks.
class WindowResults {
 public:
  ///   rows      [steps, columns]   float64, means over ranks
  ///   labels    [ranks·steps·B]    int64
  ///   clusters  [ranks·steps·B]    int64, the teacher's most likely prototypes
  torch::Tensor rows;
  torch::Tensor labels;
  torch::Tensor clusters;
  std::optional<HealthRecord> health;  // of the last step, where it was asked for
  std::vector<std::string> columns;

  /// The values of one column, [steps]; "loss", "loss_NAME" of each term, "grad_norm", "agreement".
  torch::Tensor column(const std::string& name) const;
  /// The rows of the steps that count.
  WindowResults counted() const;
  int64_t steps() const { return rows.size(0); }
  double sum(const std::string& name) const;
  /// Sums of the loss's terms, in their order.
  TermValues term_sums() const;
};

/// Gathers the results of steps without waiting for the device; read() is the one place that does.
class StepWindow {
 public:
  ///   label   [B]   int64, of the step's images
  void add(StepResult result, const torch::Tensor& label);
  bool empty() const { return rows_.empty(); }

  /// Everything since the last read. All ranks read together. Throws Error where a rank was lost.
  WindowResults read(const dist::Group& group);

 private:
  std::vector<std::string> columns_;
  std::vector<torch::Tensor> rows_;
  std::vector<torch::Tensor> clusters_;
  std::vector<torch::Tensor> labels_;
  std::optional<HealthSample> sample_;  // of the last step
};

}  // namespace ibot::train
