// Content hashes: equality of files, lists and networks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace ibot {

/// 128-bit XXH3 of everything added; fast enough for whole checkpoints. Not cryptographic.
class Hash {
 public:
  Hash();
  ~Hash();
  Hash(Hash&&) noexcept;
  Hash& operator=(Hash&&) noexcept;

  void add(const void* data, size_t size);
  void add(std::string_view text) { add(text.data(), text.size()); }

  /// 32 hexadecimal digits of what was added so far.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// 64-bit XXH3, for the millions of samples of a data set.
uint64_t short_hash(const void* data, size_t size);

}  // namespace ibot
