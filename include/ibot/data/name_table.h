// Compact storage of millions of short names.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ibot::data {

/// Zero-terminated names in one buffer, with an offset for every 16th: one byte per character
/// and 1.5 bytes of overhead per name, where a std::string takes about fifty. Held as tensors,
/// which may be views of a memory-mapped file.
///
///   text   [bytes]            uint8
///   marks  [ceil(size / 16)]  int64, offsets of names 0, 16, 32, ...
class NameTable {
 public:
  NameTable() = default;
  /// Throws DataError if the tensors do not form such a table.
  NameTable(torch::Tensor text, torch::Tensor marks, int64_t size);

  int64_t size() const { return size_; }
  std::string_view operator[](int64_t i) const;

  const torch::Tensor& text() const { return text_; }
  const torch::Tensor& marks() const { return marks_; }

 private:
  torch::Tensor text_;
  torch::Tensor marks_;
  int64_t size_ = 0;
};

/// Builds a table name by name. Names must not contain zero bytes.
class NameTableBuilder {
 public:
  void add(std::string_view name);
  int64_t size() const { return size_; }
  /// The table of all names added; the builder is then empty.
  NameTable build();

 private:
  std::string text_;
  std::vector<int64_t> marks_;
  int64_t size_ = 0;
};

}  // namespace ibot::data
