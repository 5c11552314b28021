// Millions of short names in little memory.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ibot::data {

/// Names one after the other, each ended by a zero byte, with a mark at every 16th: a byte a
/// character and a half for the rest, where a string each would take fifty. As tensors, which may
/// lie in a file that is mapped.
///
///   text   [bytes]            uint8
///   marks  [ceil(size / 16)]  int64, where names 0, 16, 32, ... begin
class NameTable {
 public:
  NameTable() = default;
  /// Throws DataError when the tensors are no such table.
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

/// Makes a table name by name. No name may hold a zero byte.
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
