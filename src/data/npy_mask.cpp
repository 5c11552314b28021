#include "ibot/data/npy_mask.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "data/file_bytes.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

/// What follows `key` and its colon, without blanks before it; empty where there is none.
std::string_view value_of(std::string_view header, std::string_view key) {
  auto at = header.find(key);
  if (at == std::string_view::npos) return {};
  at = header.find(':', at + key.size());
  if (at == std::string_view::npos) return {};
  at = header.find_first_not_of(' ', at + 1);
  return at == std::string_view::npos ? std::string_view() : header.substr(at);
}

/// A length at the beginning of `text`, which it is taken from; -1 where there is none.
int64_t take_length(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(" (,"), text.size()));
  int64_t length = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return error == std::errc() ? length : -1;
}

struct NpyLayout {
  size_t begin = 0;  // of the values
  int64_t height = -1;
  int64_t width = -1;
};

/// Nothing but a two-dimensional array of single bytes, row by row.
NpyLayout layout_of(std::string_view bytes) {
  if (!bytes.starts_with(kMagic) || bytes.size() < 12) return {};
  const auto byte = [&](size_t i) { return size_t{static_cast<unsigned char>(bytes[i])}; };
  // Version 1 has a header length of two bytes, later ones of four.
  const size_t length_bytes = byte(6) == 1 ? 2 : 4;
  size_t length = 0;
  for (size_t i = length_bytes; i > 0; --i) length = length << 8 | byte(7 + i);
  NpyLayout layout{.begin = 8 + length_bytes + length};
  if (layout.begin > bytes.size()) return {};
  const auto header = bytes.substr(8 + length_bytes, length);
  const auto type = value_of(header, "'descr'");
  // Single bytes have no order.
  if (!type.starts_with("'|b1'") && !type.starts_with("'|u1'")) return {};
  if (!value_of(header, "'fortran_order'").starts_with("False")) return {};
  auto shape = value_of(header, "'shape'");
  shape = shape.substr(0, shape.find(')'));
  layout.height = take_length(shape);
  layout.width = take_length(shape);
  // A third dimension.
  if (take_length(shape) >= 0) return {};
  return layout;
}

}  // namespace

torch::Tensor read_npy_mask(const std::filesystem::path& path) {
  const auto content = file_bytes(path.string());
  const std::string_view bytes(reinterpret_cast<const char*>(content.data()), content.size());
  const auto [begin, height, width] = layout_of(bytes);
  constexpr int64_t kLargest = 1 << 20;
  IBOT_CHECK_AS(DataError, height > 0 && width > 0 && height <= kLargest && width <= kLargest,
                path.string(),
                ": expected a mask, an array of NumPy with rows and columns of "
                "bool or uint8; the file is damaged or holds something else");
  IBOT_CHECK_AS(DataError, bytes.size() - begin == static_cast<size_t>(height * width),
                path.string(), ": expected ", height * width, " bytes of a mask of ", height, " x ",
                width, ", got ", bytes.size() - begin, "; the file is damaged");
  auto mask = torch::empty({height, width}, torch::kByte);
  std::copy(content.begin() + static_cast<std::ptrdiff_t>(begin), content.end(),
            mask.mutable_data_ptr<uint8_t>());
  return mask != 0;
}

}  // namespace ibot::data
