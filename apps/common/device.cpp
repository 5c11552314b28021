#include "common/device.h"

#include <ATen/Context.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <optional>

#include "ibot/base/error.h"

namespace ibot::apps {
namespace {

torch::Device parse_device(const std::string& key, const std::string& name) {
  std::optional<torch::Device> device;
  try {
    device = torch::Device(name);
  } catch (const c10::Error&) {
    device.reset();
  }
  IBOT_CHECK_AS(ConfigError, device && (device->is_cpu() || device->is_cuda()), key,
                ": expected auto, cpu, cuda or cuda:N, got ", name);
  return *device;
}

int64_t gpu_count() { return at::globalContext().getAcceleratorHooksInterface().deviceCount(); }

/// If the launcher exposes only its own GPU to each process, that GPU is number 0 for all of them.
int64_t own_gpu(const std::string& key, const dist::Launch& launch) {
  const auto count = gpu_count();
  if (count == 1) return 0;
  IBOT_CHECK_AS(ConfigError, launch.local_rank < count, key, ": expected at most ", count,
                " processes on this node, one per GPU; found local rank ", launch.local_rank);
  return launch.local_rank;
}

int64_t named_gpu(const std::string& key, int64_t index, const dist::Launch& launch) {
  IBOT_CHECK_AS(ConfigError, index < gpu_count(), key, ": expected an index below ", gpu_count(),
                ", got cuda:", index);
  IBOT_CHECK_AS(ConfigError, launch.local_rank == 0, key, ": expected a GPU for each process, got ",
                "cuda:", index,
                " for all of this node; use cuda, and CUDA_VISIBLE_DEVICES to choose");
  return index;
}

}  // namespace

torch::Device choose_device(const std::string& key, const std::string& name,
                            const dist::Launch& launch) {
  const bool has_gpu = at::hasCUDA();
  const auto wanted = name == "auto" ? torch::Device(has_gpu ? torch::kCUDA : torch::kCPU)
                                     : parse_device(key, name);
  if (wanted.is_cpu()) return wanted;
  IBOT_CHECK_AS(ConfigError, has_gpu, key, ": expected a usable GPU for ", name,
                ", found none; use cpu, or a build with IBOT_CUDA and a driver");
  const auto index =
      wanted.has_index() ? named_gpu(key, wanted.index(), launch) : own_gpu(key, launch);
  const torch::Device device(torch::kCUDA, static_cast<c10::DeviceIndex>(index));
  c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
  return device;
}

}  // namespace ibot::apps
