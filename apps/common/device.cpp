#include "common/device.h"

#include <ATen/Context.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <optional>

#include "common/logging.h"
#include "ibot/base/error.h"
#include "ibot/kernels/table.h"

namespace ibot::apps {
namespace {

torch::Device parse_device(const std::string& key, const std::string& name) {
  std::optional<torch::Device> device;
  try {
    device = torch::Device(name);
  } catch (const c10::Error&) {
    device.reset();
  }
  const bool known =
      device && (device->is_cpu() || device->is_cuda() || (device->is_hpu() && at::hasHPU()));
  IBOT_CHECK_AS(ConfigError, known, key, ": expected auto, cpu, cuda or cuda:N, got ", name);
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

torch::Device found_device(const std::string& key, const std::string& name,
                           const dist::Launch& launch) {
  const bool has_gpu = at::hasCUDA();
  const auto wanted = name == "auto" ? torch::Device(has_gpu ? torch::kCUDA : torch::kCPU)
                                     : parse_device(key, name);
  if (!wanted.is_cuda()) return wanted.is_cpu() ? wanted : torch::Device(wanted.type(), 0);
  IBOT_CHECK_AS(ConfigError, has_gpu, key, ": expected a usable GPU for ", name,
                ", found none; use cpu, or a build with IBOT_CUDA and a driver");
  const auto index =
      wanted.has_index() ? named_gpu(key, wanted.index(), launch) : own_gpu(key, launch);
  const torch::Device device(torch::kCUDA, static_cast<c10::DeviceIndex>(index));
  c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
  return device;
}

void compare_kernels(torch::Device device) {
  for (const auto& wrong : kernels::check(device)) {
    log_warning(concat("kernel ", wrong.kernel, ": differs from LibTorch's operators by ",
                       wrong.found, " in ", wrong.type, ", allowed ", wrong.allowed,
                       wrong.error.empty() ? "" : ": ", wrong.error, "; the operators are used"));
  }
}

}  // namespace

torch::Device choose_device(const std::string& key, const std::string& name,
                            const dist::Launch& launch) {
  const auto device = found_device(key, name, launch);
  if (!device.is_cpu()) compare_kernels(device);
  return device;
}

}  // namespace ibot::apps
