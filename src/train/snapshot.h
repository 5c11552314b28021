// A copy of a run's tensors in host memory.
#pragma once

#include <torch/types.h>

#include <map>
#include <optional>
#include <string>

#include "train/device_mark.h"

namespace ibot::train {

/// Its memory is kept from one copy to the next, page-locked where tensors come from a GPU.
class Snapshot {
 public:
  /// Copies. The host does not wait for a GPU: later work there comes after the copy.
  void take(const std::map<std::string, torch::Tensor>& tensors);

  /// The copies, once they are complete; waits for them.
  const std::map<std::string, torch::Tensor>& tensors() const;

 private:
  std::map<std::string, torch::Tensor> copies_;
  std::optional<DeviceMark> complete_;
};

}  // namespace ibot::train
