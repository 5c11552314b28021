// Function multiversioning for several instruction sets.
#pragma once

#include <cstdint>

// Marks a function whose loops are compiled for AVX-512, AVX2 and the build's own instruction set;
// the loader picks one at start-up. Sanitizer runtimes cannot run the ifunc resolvers that pick.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && \
    defined(__ELF__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define IBOT_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define IBOT_SIMD
#endif

// Marks a callee of such a function: inlined, so that it is compiled for each instruction set.
#if defined(__GNUC__)
#define IBOT_SIMD_PART __attribute__((always_inline))
#else
#define IBOT_SIMD_PART
#endif

namespace ibot::data {

/// Lines are processed in blocks of this many pixels: loops of fixed length, which the compiler
/// keeps in registers. The memory of a line must be readable up to the next multiple.
inline constexpr int64_t kBlock = 32;

inline constexpr int64_t padded(int64_t count) { return (count + kBlock - 1) / kBlock * kBlock; }

}  // namespace ibot::data
