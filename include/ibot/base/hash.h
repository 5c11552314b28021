// Content hashes: whether two files, lists or networks are the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace ibot {

/// XXH3 of 128 bits over everything added, fast enough for whole checkpoints. Not for secrets.
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

/// XXH3 of 64 bits, for the millions of samples of a data set.
uint64_t short_hash(const void* data, size_t size);

}  // namespace ibot
