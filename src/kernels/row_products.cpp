#include "kernels/row_products.h"

#include <ATen/Version.h>

namespace ibot::kernels {

void (*row_products())(const RowProducts&) {
#ifdef IBOT_VECTOR_LOOPS
  static const bool there =
      at::get_cpu_capability() == "AVX512" && __builtin_cpu_supports("avx512bf16");
  return there ? avx512_bf16_row_products : nullptr;
#else
  return nullptr;
#endif
}

}  // namespace ibot::kernels
