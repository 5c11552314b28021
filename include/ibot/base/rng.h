// Counter-based random numbers: a pure function of seed, epoch, sample and purpose.
#pragma once

#include <array>
#include <cstdint>

namespace ibot {

/// Purpose of a random stream: no two decisions about one sample share numbers.
/// Crop `i` of a sample uses `kCrop + i` and its mask `kMask + i`; global crops come first.
enum RngStream : uint32_t {
  kCrop = 0,
  kMask = 1u << 16,
  kSynthesis = 2u << 16,
  kDevice = 3u << 16,
  kMixing = 4u << 16,
  kOrder = 5u << 16
};

/// Philox 4x32-10 keyed by (seed, epoch) with a counter over (sample, stream): the numbers depend
/// neither on the thread nor on the rank nor on restarts.
///
/// Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
class Rng {
 public:
  Rng(uint64_t seed, uint64_t epoch, uint64_t sample, uint32_t stream);

  /// The next 32 random bits.
  uint32_t bits();
  /// Uniform in [0, 1) with 53 bits.
  double uniform();
  /// Uniform between `low` and `high`, which may be given in either order.
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform integer in [0, count), unbiased; `count` > 0.
  uint64_t index(uint64_t count);
  /// Uniform integer in [low, high], both included.
  int64_t integer(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(index(static_cast<uint64_t>(high - low) + 1));
  }
  /// Normal with mean 0 and deviation 1 (Box-Muller).
  double normal();

 private:
  void refill();

  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> block_{};
  uint32_t block_number_ = 0;
  int used_ = 4;
};

}  // namespace ibot
