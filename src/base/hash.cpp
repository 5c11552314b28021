#include "ibot/base/hash.h"

// Header-only: no shared library to find at run time, and short inputs are hashed inline.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstdio>

namespace ibot {

struct Hash::State {
  XXH3_state_t xxh3;
};

Hash::Hash() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh3); }
Hash::~Hash() = default;
Hash::Hash(Hash&&) noexcept = default;
Hash& Hash::operator=(Hash&&) noexcept = default;

void Hash::add(const void* data, size_t size) { XXH3_128bits_update(&state_->xxh3, data, size); }

std::string Hash::hex() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(&state_->xxh3);
  char digits[33];
  std::snprintf(digits, sizeof(digits), "%016llx%016llx",
                static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return digits;
}

uint64_t short_hash(const void* data, size_t size) { return XXH3_64bits(data, size); }

}  // namespace ibot
