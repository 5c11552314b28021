#include "kernels/vector_loops.h"

#include <ATen/Version.h>

namespace ibot::kernels {

const VectorLoops* vector_loops() {
#ifdef IBOT_VECTOR_LOOPS
  static const VectorLoops* const loops = []() -> const VectorLoops* {
    // LibTorch's own choice, so that ATEN_CPU_CAPABILITY holds for both.
    const auto capability = at::get_cpu_capability();
    if (capability == "AVX512") return &avx512_loops();
    return capability == "AVX2" ? &avx2_loops() : nullptr;
  }();
  return loops;
#else
  return nullptr;
#endif
}

}  // namespace ibot::kernels
