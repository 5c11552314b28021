// A device that is not the CPU, without hardware: what goes wrong on a GPU first, mixed devices and
// hidden waits, goes wrong here.
#pragma once

#include <torch/types.h>

#include <string>
#include <vector>

namespace ibot::testing {

/// The double: LibTorch's HPU, which no LibTorch here is built for. Its memory is the host's,
/// mapped where the host must not read it (a dereference ends the process); its operators are the
/// CPU's. Memory fresh from its allocator holds NaN. Operators refuse tensors of several devices,
/// but for scalars, as kernels of a GPU do. Autocast has the operator lists of CUDA's.
///
/// Links only where device_double.cpp is compiled in.
torch::Device device_double();

/// What crossed between host and double, or made the host wait for it, while this lives.
class DeviceWatch {
 public:
  DeviceWatch();
  ~DeviceWatch();
  DeviceWatch(const DeviceWatch&) = delete;
  DeviceWatch& operator=(const DeviceWatch&) = delete;

  /// Names of the copies and operators, in order. A copy is "copy to device" or "copy to host",
  /// with ", without waiting" where it was asked for.
  std::vector<std::string> crossings() const;
};

}  // namespace ibot::testing
