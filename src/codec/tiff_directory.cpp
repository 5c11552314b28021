#include "codec/tiff_directory.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace ibot::data {
namespace {

constexpr auto kDecisive =
    std::to_array<TiffTag>({TiffTag::kWidth, TiffTag::kHeight, TiffTag::kBitsPerSample,
                            TiffTag::kCompression, TiffTag::kPhotometric, TiffTag::kFillOrder,
                            TiffTag::kSamplesPerPixel, TiffTag::kPlanarConfiguration,
                            TiffTag::kColorMap, TiffTag::kExtraSamples, TiffTag::kSampleFormat});

/// Size of one value of a field type in bytes; 0 for types that no tag of ours has.
int64_t size_of_type(int64_t type) {
  switch (type) {
    case 1:  // byte
    case 2:  // ASCII
    case 6:  // signed byte
    case 7:  // undefined
      return 1;
    case 3:  // short
    case 8:  // signed short
      return 2;
    case 4:   // long
    case 9:   // signed long
    case 13:  // directory
      return 4;
    case 16:  // long of 8 bytes
      return 8;
    default:
      return 0;
  }
}

/// The part of `whole` after `text`; empty if it does not occur.
std::string_view behind(std::string_view whole, std::string_view text) {
  const size_t at = whole.find(text);
  return at == std::string_view::npos ? std::string_view() : whole.substr(at + text.size());
}

}  // namespace

bool TiffDirectory::begins(Bytes bytes) {
  if (bytes.size() < 8) return false;
  const bool little = bytes[0] == 'I' && bytes[1] == 'I' && bytes[3] == 0;
  const bool big = bytes[0] == 'M' && bytes[1] == 'M' && bytes[2] == 0;
  const uint8_t version = little ? bytes[2] : bytes[3];
  return (little || big) &&
         (version == 42 || (version == 43 && bytes.size() >= 16));  // 43: BigTIFF
}

TiffDirectory::TiffDirectory(Bytes bytes)
    : bytes_(bytes), little_(bytes[0] == 'I'), big_(bytes[little_ ? 2 : 3] == 43) {}

int64_t TiffDirectory::number(Bytes bytes, size_t position, int64_t size) const {
  uint64_t value = 0;
  for (int64_t i = 0; i < size; ++i) {
    value = value << 8 | bytes[position + (little_ ? size - 1 - i : i)];
  }
  return static_cast<int64_t>(std::min<uint64_t>(value, INT64_MAX));
}

std::optional<TiffDirectory::Entry> TiffDirectory::entry_at(size_t position) const {
  // Entry: tag (2), type (2), count (4 or 8), then the values if they fit, else their offset.
  const int64_t offset_size = big_ ? 8 : 4;
  const int64_t size = size_of_type(number(bytes_, position + 2, 2));
  const int64_t count = number(bytes_, position + 4, offset_size);
  const auto file_size = static_cast<int64_t>(bytes_.size());
  if (size == 0 || count == 0 || count > file_size / size) return std::nullopt;
  const int64_t field = static_cast<int64_t>(position) + 4 + offset_size;
  const int64_t begin = count * size <= offset_size ? field : number(bytes_, field, offset_size);
  if (begin > file_size - count * size) return std::nullopt;
  return Entry{size, bytes_.subspan(begin, count * size)};
}

std::optional<TiffDirectory::Range> TiffDirectory::entries() const {
  const int64_t count_size = big_ ? 8 : 2;
  const auto file_size = static_cast<int64_t>(bytes_.size());
  const int64_t directory = big_ ? number(bytes_, 8, 8) : number(bytes_, 4, 4);
  if (directory > file_size - count_size) return std::nullopt;
  const int64_t begin = directory + count_size;
  const int64_t stated = number(bytes_, directory, count_size);
  return Range{begin, stated, std::min(stated, (file_size - begin) / entry_size())};
}

std::optional<size_t> TiffDirectory::position_of(TiffTag tag) const {
  const auto range = entries();
  // Backward: the later of two entries with the same tag counts.
  for (int64_t i = range ? range->held - 1 : -1; i >= 0; --i) {
    const int64_t position = range->begin + entry_size() * i;
    if (number(bytes_, position, 2) == static_cast<int64_t>(tag)) return position;
  }
  return std::nullopt;
}

std::optional<TiffDirectory::Entry> TiffDirectory::find(TiffTag tag) const {
  const auto position = position_of(tag);
  return position ? entry_at(*position) : std::nullopt;
}

bool TiffDirectory::is_whole() const {
  const auto range = entries();
  return range && range->held == range->stated &&
         std::all_of(kDecisive.begin(), kDecisive.end(),
                     [&](TiffTag tag) { return find(tag) || !position_of(tag); });
}

std::vector<int64_t> TiffDirectory::values(TiffTag tag) const {
  std::vector<int64_t> all;
  const auto entry = find(tag);
  if (!entry) return all;
  for (size_t at = 0; at < entry->content.size(); at += entry->size) {
    all.push_back(number(entry->content, at, entry->size));
  }
  return all;
}

std::optional<int64_t> TiffDirectory::value(TiffTag tag) const {
  const auto entry = find(tag);
  return entry ? std::optional(number(entry->content, 0, entry->size)) : std::nullopt;
}

Bytes TiffDirectory::content(TiffTag tag) const {
  const auto entry = find(tag);
  return entry ? entry->content : Bytes();
}

int64_t TiffDirectory::orientation() const {
  if (const auto stated = value(TiffTag::kOrientation)) return *stated;
  const Bytes xmp = content(TiffTag::kXmp);
  const std::string_view text(reinterpret_cast<const char*>(xmp.data()), xmp.size());
  // An XMP property is written as an attribute or as an element.
  for (const std::string_view opening : {"tiff:Orientation=\"", "tiff:Orientation>"}) {
    const auto digit = behind(text, opening).substr(0, 1);
    if (!digit.empty() && digit[0] >= '0' && digit[0] <= '9') return digit[0] - '0';
  }
  return 1;
}

}  // namespace ibot::data
