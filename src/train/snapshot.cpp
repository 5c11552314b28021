#include "train/snapshot.h"

namespace ibot::train {

void Snapshot::take(const std::map<std::string, torch::Tensor>& tensors) {
  const torch::NoGradGuard no_grad;
  std::erase_if(copies_, [&](const auto& entry) { return tensors.count(entry.first) == 0; });
  torch::Device device = torch::kCPU;
  for (const auto& [name, tensor] : tensors) {
    auto& copy = copies_[name];
    // Allocated once: pinning memory is slow.
    if (!copy.defined() || copy.sizes() != tensor.sizes() ||
        copy.scalar_type() != tensor.scalar_type()) {
      copy = torch::empty(
          tensor.sizes(),
          torch::TensorOptions(tensor.scalar_type()).pinned_memory(tensor.device().is_cuda()));
    }
    copy.copy_(tensor, /*non_blocking=*/true);
    if (!tensor.device().is_cpu()) device = tensor.device();
  }
  // All copies are in one stream: the mark after the last one covers them.
  complete_.emplace(device);
}

const std::map<std::string, torch::Tensor>& Snapshot::tensors() const {
  if (complete_) complete_->wait();
  return copies_;
}

}  // namespace ibot::train
