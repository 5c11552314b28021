#include "ibot/data/name_table.h"

#include <algorithm>
#include <cstring>

#include "data/tensor_of.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

/// A mark every so many names: memory of one for each, for a few steps at every look-up.
constexpr int64_t kNamesPerMark = 16;

}  // namespace

NameTable::NameTable(torch::Tensor text, torch::Tensor marks, int64_t size)
    : text_(std::move(text)), marks_(std::move(marks)), size_(size) {
  const bool sound = size >= 0 && text_.dim() == 1 && text_.scalar_type() == torch::kByte &&
                     marks_.dim() == 1 && marks_.scalar_type() == torch::kLong &&
                     marks_.size(0) == (size + kNamesPerMark - 1) / kNamesPerMark;
  IBOT_CHECK_AS(DataError, sound, "names: expected text and one mark for every ", kNamesPerMark,
                " of ", size, " names");
}

// Clamped everywhere: whatever a damaged file holds, nothing outside the text is read.
std::string_view NameTable::operator[](int64_t i) const {
  const std::string_view text(reinterpret_cast<const char*>(text_.const_data_ptr<uint8_t>()),
                              static_cast<size_t>(text_.size(0)));
  const int64_t mark = marks_.const_data_ptr<int64_t>()[i / kNamesPerMark];
  auto rest = text.substr(static_cast<size_t>(std::clamp<int64_t>(mark, 0, text_.size(0))));
  for (int64_t skipped = 0; skipped < i % kNamesPerMark; ++skipped) {
    rest.remove_prefix(std::min(rest.size(), rest.find('\0') + 1));
  }
  return rest.substr(0, rest.find('\0'));
}

void NameTableBuilder::add(std::string_view name) {
  if (size_++ % kNamesPerMark == 0) marks_.push_back(static_cast<int64_t>(text_.size()));
  text_ += name;
  text_ += '\0';
}

NameTable NameTableBuilder::build() {
  const int64_t size = std::exchange(size_, 0);
  auto text = tensor_of(std::move(text_), torch::kByte);
  auto marks = tensor_of(std::move(marks_), torch::kLong);
  text_.clear();
  marks_.clear();
  return {std::move(text), std::move(marks), size};
}

}  // namespace ibot::data
