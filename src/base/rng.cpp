#include "ibot/base/rng.h"

#include <cmath>
#include <numbers>

namespace ibot {
namespace {

// Ten rounds, multipliers and Weyl constants of the published Philox 4x32-10.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53;
  constexpr uint64_t kMultiplier1 = 0xCD9E8D57;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = kMultiplier0 * counter[0];
    const uint64_t product1 = kMultiplier1 * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

}  // namespace

// The counter's words are the block within a stream, the sample (64 bits in two words) and the
// stream: no two streams overlap below 2^32 blocks of four draws. Seed and epoch form the key,
// mixed by one Philox call, so that consecutive seeds and epochs give unrelated keys.
Rng::Rng(uint64_t seed, uint64_t epoch, uint64_t sample, uint32_t stream) {
  const auto mixed =
      philox({static_cast<uint32_t>(epoch), static_cast<uint32_t>(epoch >> 32), 0, 0},
             {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  key_ = {mixed[0], mixed[1]};
  counter_ = {0, static_cast<uint32_t>(sample), static_cast<uint32_t>(sample >> 32),
              stream};  // the first word is set by refill()
}

void Rng::refill() {
  counter_[0] = block_number_++;
  block_ = philox(counter_, key_);
  used_ = 0;
}

uint32_t Rng::bits() {
  if (used_ == 4) refill();
  return block_[used_++];
}

double Rng::uniform() {
  const uint64_t high = bits();
  const uint64_t low = bits();
  // 53 bits are what a double in [0, 1) holds: no value rounds up to 1.
  return static_cast<double>(((high << 32) | low) >> 11) * 0x1.0p-53;
}

uint64_t Rng::index(uint64_t count) {
  // Rejection of the incomplete last interval keeps every value equally likely.
  const uint64_t limit = UINT64_MAX - UINT64_MAX % count;
  uint64_t value = 0;
  do {
    const uint64_t high = bits();
    value = (high << 32) | bits();
  } while (value >= limit);
  return value % count;
}

double Rng::normal() {
  // log(1 - u) with u in [0, 1) never sees log(0).
  const double radius = std::sqrt(-2.0 * std::log1p(-uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

}  // namespace ibot
