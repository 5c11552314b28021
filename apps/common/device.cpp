#include "common/device.h"

#include <ATen/Context.h>

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

}  // namespace

torch::Device choose_device(const std::string& name) {
  const bool has_gpu = at::hasCUDA();
  if (name == "auto") return has_gpu ? torch::Device(torch::kCUDA, 0) : torch::Device(torch::kCPU);
  auto device = parse_device(name);
  if (device.is_cpu()) return device;
  IBOT_CHECK_AS(ConfigError, has_gpu, "train.device: expected a usable GPU for ", name,
                ", found none; use cpu, or a build with IBOT_CUDA and a driver");
  if (!device.has_index()) device = torch::Device(torch::kCUDA, 0);
  const auto count = at::globalContext().getAcceleratorHooksInterface().deviceCount();
  IBOT_CHECK_AS(ConfigError, device.index() < count, "train.device: expected an index below ",
                static_cast<int>(count), ", got ", name);
  return device;
}

}  // namespace ibot::apps
