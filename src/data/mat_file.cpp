#include "ibot/data/mat_file.h"

#include <zlib.h>

#include <bit>
#include <cstring>
#include <optional>
#include <span>

#include "data/file_bytes.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

using Bytes = std::span<const uint8_t>;

constexpr size_t kMatHeaderBytes = 128;
// The largest published file inflates to 5 MB; a damaged one must not exhaust memory.
constexpr size_t kMostInflatedBytes = size_t{1} << 28;
/// Of structs in structs: the reader calls itself.
constexpr int kMaxDepth = 8;

enum ElementType : uint32_t {
  kInt8 = 1,
  kUint8 = 2,
  kInt16 = 3,
  kUint16 = 4,
  kInt32 = 5,
  kUint32 = 6,
  kSingle = 7,
  kDouble = 9,
  kInt64 = 12,
  kUint64 = 13,
  kMatrix = 14,
  kCompressed = 15,
  kUtf8 = 16,
  kUtf16 = 17,
  kUtf32 = 18
};

enum ArrayClass : uint32_t {
  kStructClass = 2,
  kCharClass = 4,
  kFirstNumeric = 6,
  kLastNumeric = 15
};

template <class Number>
Number number_at(Bytes bytes, size_t i) {
  Number value;
  std::memcpy(&value, bytes.data() + i * sizeof(Number), sizeof(Number));
  return value;
}

template <class Number>
std::vector<double> numbers_of(Bytes bytes) {
  std::vector<double> numbers(bytes.size() / sizeof(Number));
  for (size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = static_cast<double>(number_at<Number>(bytes, i));
  }
  return numbers;
}

struct Element {
  uint32_t type = 0;
  Bytes data;
};

/// Reads consecutive elements of a buffer.
class Reader {
 public:
  Reader(Bytes bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  bool done() const { return bytes_.empty(); }

  Element next() {
    require(bytes_.size() >= 8);
    const auto first = number_at<uint32_t>(bytes_, 0);
    // Small element: length (2 bytes) and type (2 bytes), then up to 4 bytes of data.
    if (const uint32_t small = first >> 16; small != 0) {
      require(small <= 4);
      const Element element{first & 0xFFFF, bytes_.subspan(4, small)};
      bytes_ = bytes_.subspan(8);
      return element;
    }
    const size_t length = number_at<uint32_t>(bytes_, 1);
    require(length <= bytes_.size() - 8);
    const Element element{first, bytes_.subspan(8, length)};
    // Data are padded to eight bytes, except in compressed elements and at the end of the file.
    const size_t padded = first == kCompressed ? length : (length + 7) / 8 * 8;
    bytes_ = bytes_.subspan(std::min(8 + padded, bytes_.size()));
    return element;
  }

  Element next(uint32_t type) {
    const Element element = next();
    require(element.type == type);
    return element;
  }

  void require(bool ok) const { IBOT_CHECK_AS(DataError, ok, file_, ": damaged MATLAB file"); }

  const std::string& file() const { return file_; }

 private:
  Bytes bytes_;
  const std::string& file_;
};

std::vector<double> numbers_of(const Element& element, const Reader& reader) {
  switch (element.type) {
    case kInt8:
      return numbers_of<int8_t>(element.data);
    case kUint8:
    case kUtf8:
      return numbers_of<uint8_t>(element.data);
    case kInt16:
      return numbers_of<int16_t>(element.data);
    case kUint16:
    case kUtf16:
      return numbers_of<uint16_t>(element.data);
    case kInt32:
      return numbers_of<int32_t>(element.data);
    case kUint32:
    case kUtf32:
      return numbers_of<uint32_t>(element.data);
    case kSingle:
      return numbers_of<float>(element.data);
    case kDouble:
      return numbers_of<double>(element.data);
    case kInt64:
      return numbers_of<int64_t>(element.data);
    case kUint64:
      return numbers_of<uint64_t>(element.data);
    default:
      reader.require(false);
      return {};
  }
}

MatArray read_array(Bytes content, const std::string& file, int depth);

void read_struct(Reader& reader, size_t elements, int depth, MatArray& array) {
  const auto name_length = numbers_of(reader.next(kInt32), reader);
  // Field names are stored with one fixed length, padded with zeros; then all fields of element 0,
  // all of element 1, …
  reader.require(name_length.size() == 1 && name_length[0] > 0 && name_length[0] <= 64);
  const auto width = static_cast<size_t>(name_length[0]);
  const auto names = reader.next(kInt8).data;
  for (size_t begin = 0; begin + width <= names.size(); begin += width) {
    const auto* text = reinterpret_cast<const char*>(names.data()) + begin;
    array.field_names.emplace_back(text, strnlen(text, width));
  }
  for (size_t i = 0; i < elements * array.field_names.size(); ++i) {
    array.fields.push_back(read_array(reader.next(kMatrix).data, reader.file(), depth + 1));
  }
}

/// The content of a matrix element: flags, dimensions, name, data. Of unknown kinds only the name.
MatArray read_array(Bytes content, const std::string& file, int depth) {
  // An empty field may be stored as an element without content.
  if (content.empty()) return {};
  Reader reader(content, file);
  reader.require(depth <= kMaxDepth);
  const auto flags = reader.next(kUint32);
  reader.require(flags.data.size() == 8);
  const uint32_t kind = flags.data[0];
  double elements = 1;  // double: the product of damaged dimensions must not overflow
  for (const double extent : numbers_of(reader.next(kInt32), reader)) elements *= extent;
  MatArray array;
  const auto name = reader.next(kInt8).data;
  array.name.assign(name.begin(), name.end());
  // Every element takes at least one byte, which bounds `elements` for damaged files.
  const bool known =
      kind == kStructClass || kind == kCharClass || (kind >= kFirstNumeric && kind <= kLastNumeric);
  if (!known || elements == 0) return array;
  reader.require(elements > 0 && elements <= static_cast<double>(content.size()));
  if (kind == kStructClass) {
    read_struct(reader, static_cast<size_t>(elements), depth, array);
  } else {
    array.numbers = numbers_of(reader.next(), reader);
    reader.require(static_cast<double>(array.numbers.size()) == elements || kind == kCharClass);
  }
  return array;
}

std::vector<uint8_t> inflated(Bytes compressed, const std::string& file) {
  std::vector<uint8_t> content;
  z_stream stream{};
  IBOT_CHECK(inflateInit(&stream) == Z_OK, "zlib: out of memory");
  stream.next_in = const_cast<uint8_t*>(compressed.data());
  stream.avail_in = static_cast<uInt>(compressed.size());
  int status = Z_OK;
  // The inflated size is not stored; the limit stops files that inflate without bound.
  while (status == Z_OK && content.size() < kMostInflatedBytes) {
    const size_t filled = content.size();
    content.resize(filled + (size_t{1} << 16));
    stream.next_out = content.data() + filled;
    stream.avail_out = uInt{1} << 16;
    status = inflate(&stream, Z_NO_FLUSH);
    content.resize(content.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  IBOT_CHECK_AS(DataError, status == Z_STREAM_END, file, ": damaged MATLAB file");
  return content;
}

/// The variable in one element of the file, if it has that name.
std::optional<MatArray> named_array(const Element& element, const std::string& name,
                                    const std::string& file) {
  MatArray array;
  if (element.type == kCompressed) {
    const auto content = inflated(element.data, file);
    array = read_array(Reader(content, file).next(kMatrix).data, file, 0);
  } else if (element.type == kMatrix) {
    array = read_array(element.data, file, 0);
  }
  if (array.name != name) return std::nullopt;
  return array;
}

}  // namespace

MatArray read_mat_variable(const std::filesystem::path& path, const std::string& name) {
  static_assert(std::endian::native == std::endian::little);
  const auto file = path.string();
  const auto bytes = file_bytes(file);
  // Header: text up to byte 124, version 0x0100, then "IM" for little-endian.
  const bool is_mat =
      bytes.size() > kMatHeaderBytes && bytes[125] == 1 && bytes[126] == 'I' && bytes[127] == 'M';
  IBOT_CHECK_AS(DataError, is_mat, file, ": expected a little-endian MATLAB 5 file");
  Reader reader(Bytes(bytes).subspan(kMatHeaderBytes), file);
  while (!reader.done()) {
    if (auto array = named_array(reader.next(), name, file)) return *std::move(array);
  }
  throw DataError(concat(file, ": expected the variable ", name, ", found none"));
}

}  // namespace ibot::data
