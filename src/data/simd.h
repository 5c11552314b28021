// Compiling one function for several instruction sets.
#pragma once

#include <cstdint>

// Marks a function whose loops are compiled for AVX-512, AVX2 and the build's own instruction set; the
// program picks at start. The sanitizers' start-up code cannot run the resolvers that pick.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && \
    defined(__ELF__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define IBOT_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define IBOT_SIMD
#endif

namespace ibot::data {

/// Lines are handled this many pixels at a time; their memory is readable up to the next multiple.
inline constexpr int64_t kLanes = 16;

inline constexpr int64_t padded(int64_t count) { return (count + kLanes - 1) / kLanes * kLanes; }

typedef uint8_t Bytes16 __attribute__((vector_size(16)));
typedef int32_t Ints16 __attribute__((vector_size(64)));

}  // namespace ibot::data
