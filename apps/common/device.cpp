#include "common/device.h"

#include <ATen/Context.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "ibot/base/error.h"

namespace ibot::apps {
namespace {

torch::Device parse_device(const std::string& name) {
  try {
    return torch::Device(name);
  } catch (const c10::Error&) {
    throw ConfigError("train.device: expected auto, cpu, cuda or cuda:N, got " + name);
  }
}

/// Where a launcher shows each process its own GPU alone, that is number 0 for all.
torch::Device own_gpu(int64_t local_rank) {
  const auto count = at::globalContext().getAcceleratorHooksInterface().deviceCount();
  const torch::Device device(torch::kCUDA, static_cast<c10::DeviceIndex>(local_rank % count));
  c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
  return device;
}

}  // namespace

torch::Device choose_device(const std::string& name, int64_t local_rank) {
  const bool has_gpu = at::hasCUDA();
  if (name == "auto") return has_gpu ? own_gpu(local_rank) : torch::Device(torch::kCPU);
  const auto device = parse_device(name);
  if (device.is_cpu()) return device;
  IBOT_CHECK_AS(ConfigError, has_gpu, "train.device: expected a usable GPU for ", name,
                ", found none; use cpu, or a build with IBOT_CUDA and a driver");
  if (!device.has_index()) return own_gpu(local_rank);
  const auto count = at::globalContext().getAcceleratorHooksInterface().deviceCount();
  IBOT_CHECK_AS(ConfigError, device.index() < count, "train.device: expected an index below ",
                static_cast<int>(count), ", got ", name);
  return device;
}

}  // namespace ibot::apps
