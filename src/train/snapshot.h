// A copy of a run's tensors in host memory.
#pragma once

#include <torch/types.h>

#include <map>
#include <optional>
#include <string>

#include "train/device_mark.h"

namespace ibot::train {

/// Its memory is reused from copy to copy, pinned if tensors come from a GPU.
class Snapshot {
 public:
  /// Starts the copies. The host does not wait for a GPU: its later work is ordered after the copy.
  void take(const std::map<std::string, torch::Tensor>& tensors);

  /// Waits for the copies and returns them.
  const std::map<std::string, torch::Tensor>& tensors() const;

 private:
  std::map<std::string, torch::Tensor> copies_;
  std::optional<DeviceMark> complete_;
};

}  // namespace ibot::train
