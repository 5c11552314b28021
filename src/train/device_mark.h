// A point in a device's stream of work.
#pragma once

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/types.h>

#include <optional>

namespace ibot::train {

/// Marks the work submitted so far. Always reached on a CPU.
class DeviceMark {
 public:
  explicit DeviceMark(torch::Device device) {
    if (device.is_cpu()) return;
    event_.emplace(device.type());
    event_->record(c10::impl::VirtualGuardImpl(device.type()).getStream(device));
  }

  bool reached() const { return !event_ || event_->query(); }
  void wait() const {
    if (event_) event_->synchronize();
  }

 private:
  std::optional<c10::Event> event_;
};

}  // namespace ibot::train
