// Compiling one function for several instruction sets.
#pragma once

#include <cstdint>

// Marks a function whose loops are compiled for AVX-512, AVX2 and the build's own instruction set;
// the program picks at start. The sanitizers' start-up code cannot run the resolvers that pick.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && \
    defined(__ELF__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define IBOT_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define IBOT_SIMD
#endif

// Marks a part of such a function, which must be compiled into each of its variants.
#if defined(__GNUC__)
#define IBOT_SIMD_PART __attribute__((always_inline))
#else
#define IBOT_SIMD_PART
#endif

namespace ibot::data {

/// Lines are handled in blocks of this many pixels, in loops of fixed length, which the compiler
/// keeps in registers; the memory of a line is readable up to the next multiple.
inline constexpr int64_t kBlock = 32;

inline constexpr int64_t padded(int64_t count) { return (count + kBlock - 1) / kBlock * kBlock; }

}  // namespace ibot::data
