#include "ibot/optim/autocast.h"

#include <ATen/detail/CUDAHooksInterface.h>

#include "ibot/base/error.h"

namespace ibot::optim {
namespace {

bool cpu_multiplies_bf16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

/// LibTorch asks this of the current device by its compute capability, 8.0 or more, which it offers
/// nowhere else without the headers of CUDA.
bool gpu_multiplies_bf16() {
  return at::detail::getCUDAHooks().supportsBFloat16ConvolutionWithCuDNNv8();
}

}  // namespace

Precision resolved(Precision precision, torch::Device device, const char* key) {
  check_option(precision != Precision::kFp16 || !device.is_cpu(), key,
               "expected fp32 or bf16 on the CPU, got fp16");
  if (precision != Precision::kAuto) return precision;
  if (device.is_cpu()) return cpu_multiplies_bf16() ? Precision::kBf16 : Precision::kFp32;
  // fp16 comes with a GradScaler; bf16 has the range of float32 and needs none.
  return gpu_multiplies_bf16() ? Precision::kBf16 : Precision::kFp16;
}

std::optional<torch::ScalarType> autocast_dtype(Precision precision, torch::Device device) {
  switch (resolved(precision, device)) {
    case Precision::kFp16:
      return torch::kHalf;
    case Precision::kBf16:
      return torch::kBFloat16;
    default:
      return std::nullopt;
  }
}

}  // namespace ibot::optim
