#include "ibot/io/tar.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "ibot/base/error.h"

namespace ibot::io {
namespace {

constexpr uint64_t kBlock = 512;
constexpr size_t kNameSize = 100;
// Eleven octal digits.
constexpr uint64_t kMaxOctalSize = uint64_t{1} << 33;
// Limit for long names and pax records; a larger size is treated as damage.
constexpr uint64_t kMaxExtension = 1 << 20;

// Hard and symbolic links, devices, pipes, sparse files, parts of files.
constexpr std::string_view kSkippedTypes = "12346SM";

using Block = std::array<char, kBlock>;

uint64_t padded(uint64_t size) { return (size + kBlock - 1) / kBlock * kBlock; }

/// Writes `digits` octal digits.
void put_octal(char* field, int digits, uint64_t value) {
  for (int i = digits - 1; i >= 0; --i, value /= 8) field[i] = static_cast<char>('0' + value % 8);
}

/// Sum of the header's bytes, with the checksum field itself counted as spaces.
template <class Byte>
int64_t checksum(std::string_view block) {
  int64_t sum = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    sum += i >= 148 && i < 156 ? ' ' : static_cast<Byte>(block[i]);
  }
  return sum;
}

/// "LENGTH key=value\n", where LENGTH counts its own digits.
std::string pax_record(std::string_view key, std::string_view value) {
  const size_t rest = key.size() + value.size() + 3;  // a space, '=' and the end of the line
  size_t length = rest + 1;
  // A fixed point: 9 may need 10, whose second digit makes it 11.
  while (std::to_string(length).size() + rest != length) ++length;
  return concat(length, ' ', key, '=', value, '\n');
}

std::string_view text_field(std::string_view block, size_t begin, size_t size) {
  const auto field = block.substr(begin, size);
  return field.substr(0, field.find('\0'));
}

std::optional<uint64_t> parse_number(std::string_view text, int base) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// A number in octal, or in big-endian base 256 if the first bit is set (GNU).
std::optional<uint64_t> number_field(std::string_view block, size_t begin, size_t size) {
  auto field = block.substr(begin, size);
  if ((field[0] & 0x80) == 0) {
    field = text_field(block, begin, size);
    while (!field.empty() && field.front() == ' ') field.remove_prefix(1);
    while (!field.empty() && field.back() == ' ') field.remove_suffix(1);
    return field.empty() ? std::optional<uint64_t>(0) : parse_number(field, 8);
  }
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) {
    if (value >> 55 != 0) return std::nullopt;  // would exceed 63 bits
    value = value << 8 | static_cast<uint8_t>(i == 0 ? field[i] & 0x7f : field[i]);
  }
  return value;
}

bool is_empty(std::string_view block) {
  return block.find_first_not_of('\0') == std::string_view::npos;
}

}  // namespace

uint64_t TarWriter::add(std::string_view name, std::string_view content) {
  IBOT_CHECK(!name.empty() && content.size() < kMaxOctalSize,
             "tar: expected a name and at most 8 GiB, got '", name, "' and ", content.size());
  if (name.size() > kNameSize) {
    // The short name only serves readers that do not know pax.
    const auto record = pax_record("path", name);
    write_header(concat("PaxHeaders/", name.substr(name.size() - 80)), record.size(), 'x');
    write_padded(record);
  }
  write_header(name, content.size(), '0');
  const uint64_t offset = size_;
  write_padded(content);
  return offset;
}

void TarWriter::finish() {
  const Block empty{};
  for (int i = 0; i < 2; ++i) write_padded({empty.data(), empty.size()});
}

void TarWriter::write_header(std::string_view name, uint64_t content_size, char type) {
  Block block{};
  std::copy_n(name.begin(), std::min(name.size(), kNameSize), block.begin());
  put_octal(&block[100], 7, 0644);
  put_octal(&block[108], 7, 0);  // owner
  put_octal(&block[116], 7, 0);  // group
  put_octal(&block[124], 11, content_size);
  put_octal(&block[136], 11, 0);  // time
  block[156] = type;
  // Magic with its NUL, then version "00".
  std::memcpy(&block[257], "ustar\00000", 8);
  put_octal(&block[148], 6, static_cast<uint64_t>(checksum<uint8_t>({block.data(), kBlock})));
  // The checksum field: six digits, NUL, space.
  block[155] = ' ';
  write_padded({block.data(), block.size()});
}

void TarWriter::write_padded(std::string_view content) {
  const Block empty{};
  sink_(content.data(), content.size());
  sink_(empty.data(), padded(content.size()) - content.size());
  size_ += padded(content.size());
}

/// One header block; `problem` is set if it is not a valid one.
struct TarReader::Header {
  bool empty = false;
  std::string problem;
  std::string name;
  uint64_t content = 0;
  uint64_t size = 0;
  char type = '0';
};

TarReader::TarReader(const std::filesystem::path& path)
    : path_(path.string()), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  struct stat status {};
  const bool opened = file_ >= 0 && ::fstat(file_, &status) == 0;
  const int reason = errno;
  if (opened && S_ISREG(status.st_mode)) {
    size_ = static_cast<uint64_t>(status.st_size);
    return;
  }
  if (file_ >= 0) ::close(file_);
  IBOT_CHECK_AS(DataError, opened, path_, ": cannot open: ", std::strerror(reason));
  throw DataError(path_ + ": expected a file");
}

TarReader::~TarReader() { ::close(file_); }

std::string TarReader::read(uint64_t position, uint64_t size) const {
  std::string bytes(size, '\0');
  uint64_t done = 0;
  while (done < size) {
    const ssize_t got =
        ::pread(file_, bytes.data() + done, size - done, static_cast<off_t>(position + done));
    if (got < 0 && errno == EINTR) continue;
    IBOT_CHECK_AS(DataError, got >= 0, path_, ": cannot read: ", std::strerror(errno));
    IBOT_CHECK_AS(DataError, got > 0, path_, ": became shorter while it was read");
    done += static_cast<uint64_t>(got);
  }
  return bytes;
}

std::string TarReader::content(const TarEntry& entry) const {
  return read(entry.offset, entry.size);
}

TarReader::Header TarReader::header_at(uint64_t position) const {
  Header header;
  if (position + kBlock > size_) {
    header.problem = "cut off within a header";
    return header;
  }
  const auto block = read(position, kBlock);
  header.empty = is_empty(block);
  if (header.empty) return header;
  const auto sum = number_field(block, 148, 8);
  const auto matches = [&](int64_t actual) {
    return sum && actual >= 0 && *sum == static_cast<uint64_t>(actual);
  };
  // Some old writers summed signed bytes.
  if (!matches(checksum<uint8_t>(block)) && !matches(checksum<int8_t>(block))) {
    header.problem = "wrong checksum of a header";
    return header;
  }
  const auto size = number_field(block, 124, 12);
  if (!size) header.problem = "a header's size is no number";
  header.content = position + kBlock;
  header.size = size.value_or(0);
  header.type = block[156];
  header.name = text_field(block, 0, kNameSize);
  const auto prefix = text_field(block, 345, 155);
  if (block.compare(257, 6, std::string("ustar\0", 6)) == 0 && !prefix.empty()) {
    header.name = concat(prefix, '/', header.name);
  }
  return header;
}

/// Applies a GNU long-name or pax header to the file that follows it.
void TarReader::extend(const Header& header, TarEntry& entry, std::optional<uint64_t>& size) const {
  const auto content = read(header.content, header.size);
  std::string_view rest = content;
  if (header.type == 'L') entry.name = rest.substr(0, rest.find('\0'));
  if (header.type != 'x') return;
  while (!rest.empty()) {
    const size_t space = rest.find(' ');
    const auto length = parse_number(rest.substr(0, space), 10);
    if (space == std::string_view::npos || !length || *length <= space + 1 ||
        *length > rest.size()) {
      return;
    }
    // Without the digits, the space and the newline.
    const auto record = rest.substr(space + 1, *length - space - 2);
    const size_t equals = record.find('=');
    if (equals != std::string_view::npos) {
      const auto value = record.substr(equals + 1);
      if (record.substr(0, equals) == "path") entry.name = value;
      if (record.substr(0, equals) == "size") size = parse_number(value, 10);
    }
    rest.remove_prefix(*length);
  }
}

/// A damaged entry from `begin` to the next valid header after `position`.
TarEntry TarReader::damaged(uint64_t begin, uint64_t position, const std::string& reason) {
  TarEntry entry{.name = {}, .begin = begin, .offset = begin, .damage = reason};
  bool whole = false;
  for (position_ = position + kBlock; position_ + kBlock <= size_; position_ += kBlock) {
    const auto header = header_at(position_);
    whole = !header.empty && header.problem.empty();
    if (whole) break;
  }
  if (!whole) position_ = size_;
  ended_ = ended_ || !whole;
  entry.size = position_ - begin;
  return entry;
}

std::optional<TarEntry> TarReader::next() {
  TarEntry entry{.begin = position_};
  std::optional<uint64_t> long_size;
  while (position_ < size_) {
    const auto header = header_at(position_);
    if (header.empty) {
      ended_ = true;
      position_ += kBlock;
      entry.begin = position_;
      continue;
    }
    if (ended_ && position_ + kBlock > size_) break;  // trailing padding of less than a block
    if (!header.problem.empty()) return damaged(entry.begin, position_, header.problem);
    ended_ = false;
    const bool file = header.type == '0' || header.type == '\0' || header.type == '7';
    const bool extension = header.type == 'x' || header.type == 'L' || header.type == 'K';
    const uint64_t size = file ? long_size.value_or(header.size) : header.size;
    if (size > size_ - header.content || (extension && size > kMaxExtension)) {
      if (!file) return damaged(entry.begin, position_, "a header claims too large a size");
      entry.name = entry.name.empty() ? header.name : entry.name;
      entry.offset = header.content;
      entry.size = size_ - header.content;
      entry.damage = concat("cut off: ", entry.size, " of ", size, " bytes");
      position_ = size_;
      ended_ = true;
      return entry;
    }
    // An archive may end without the padding of its last file.
    position_ = std::min(header.content + padded(size), size_);
    if (extension) {
      extend(header, entry, long_size);
    } else if (file) {
      if (entry.name.empty()) entry.name = header.name;
      entry.offset = header.content;
      entry.size = size;
      return entry;
    } else {
      if (kSkippedTypes.find(header.type) != std::string_view::npos) ++skipped_;
      entry = {.begin = position_};
      long_size.reset();
    }
  }
  if (std::exchange(ended_, true)) return std::nullopt;
  entry = {.begin = size_, .offset = size_};
  entry.damage = "cut off: expected an empty block at the end";
  return entry;
}

}  // namespace ibot::io
