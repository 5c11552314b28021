#include "ibot/base/memory.h"

#include <sys/resource.h>

#ifdef IBOT_WITH_CUDA
#include <c10/cuda/CUDACachingAllocator.h>
#endif

namespace ibot {

int64_t peak_memory_bytes([[maybe_unused]] torch::Device device) {
#ifdef IBOT_WITH_CUDA
  if (device.is_cuda()) {
    const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(device.index());
    return stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)]
        .peak;
  }
#endif
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;  // Linux reports KiB
}

}  // namespace ibot
