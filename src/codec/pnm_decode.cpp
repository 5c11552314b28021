#include <algorithm>
#include <bit>
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "codec/codecs.h"
#include "codec/wide_gray.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

/// Reads the numbers of a header or of a plain (ASCII) file, skipping white space and comments.
class Numbers {
 public:
  Numbers(Bytes bytes, size_t position, const std::string& name)
      : bytes_(bytes), position_(position), name_(name) {}

  int64_t next() {
    skip_space();
    int64_t value = 0;
    const size_t begin = position_;
    while (position_ < bytes_.size() && std::isdigit(bytes_[position_])) {
      value = std::min<int64_t>(value * 10 + (bytes_[position_++] - '0'), INT32_MAX);
    }
    IBOT_CHECK_AS(DataError, position_ > begin, name_,
                  ": PNM file is truncated or no number at byte ", begin);
    return value;
  }

  /// Digits of a plain bitmap need no space between them.
  int64_t next_bit() {
    skip_space();
    IBOT_CHECK_AS(DataError, position_ < bytes_.size(), name_, ": PNM file is truncated");
    const int64_t bit = bytes_[position_++] - '0';
    IBOT_CHECK_AS(DataError, bit == 0 || bit == 1, name_, ": expected 0 or 1 in a plain bitmap");
    return bit;
  }

  /// The scale of a float map; its sign gives the byte order.
  double next_scale() {
    skip_space();
    std::string word;
    while (position_ < bytes_.size() && !std::isspace(bytes_[position_]) && word.size() < 32) {
      word += static_cast<char>(bytes_[position_++]);
    }
    const double scale = std::strtod(word.c_str(), nullptr);
    IBOT_CHECK_AS(DataError, scale != 0.0 && std::isfinite(scale), name_,
                  ": expected a scale that is finite and not 0, got ", word);
    return scale;
  }

  size_t position() const { return position_; }

 private:
  void skip_space() {
    while (position_ < bytes_.size()) {
      if (bytes_[position_] == '#') {
        const auto ends = [](uint8_t byte) { return byte == '\n' || byte == '\r'; };
        while (position_ < bytes_.size() && !ends(bytes_[position_])) ++position_;
      } else if (std::isspace(bytes_[position_])) {
        ++position_;
      } else {
        return;
      }
    }
  }

  Bytes bytes_;
  size_t position_;
  const std::string& name_;
};

bool is_color(const PnmHeader& header) { return header.kind == '3' || header.kind == '6'; }
bool is_bitmap(const PnmHeader& header) { return header.kind == '1' || header.kind == '4'; }

/// Gray of more than 8 bits is scaled to 16 bits, everything else to 8.
uint16_t scaled(int64_t sample, const PnmHeader& header) {
  const double full = header.wide_gray() ? 65535.0 : 255.0;
  // In double and rounding half to even, as Python's round() in Pillow.
  const double value = static_cast<double>(sample) / static_cast<double>(header.max_value) * full;
  return static_cast<uint16_t>(std::min(std::nearbyint(value), full));
}

std::vector<uint16_t> plain_samples(Bytes bytes, const PnmHeader& header, int64_t count,
                                    const std::string& name) {
  Numbers numbers(bytes, header.begin, name);
  std::vector<uint16_t> samples(count);
  for (auto& sample : samples) {
    if (is_bitmap(header)) {
      sample = numbers.next_bit() == 1 ? 0 : 255;
    } else {
      const int64_t value = numbers.next();
      IBOT_CHECK_AS(DataError, value <= header.max_value, name, ": expected samples of at most ",
                    header.max_value, ", got ", value);
      sample = scaled(value, header);
    }
  }
  return samples;
}

void check_whole(Bytes bytes, const PnmHeader& header, int64_t needed, const std::string& name) {
  const auto got = static_cast<int64_t>(bytes.size() - header.begin);
  IBOT_CHECK_AS(DataError, got >= needed, name, ": PNM file is truncated: ", got, " of ", needed,
                " bytes of pixels");
}

std::vector<uint16_t> raw_samples(Bytes bytes, const PnmHeader& header, int64_t count,
                                  const std::string& name) {
  const int sample_bytes = header.max_value > 255 ? 2 : 1;
  check_whole(bytes, header, count * sample_bytes, name);
  std::vector<uint16_t> samples(count);
  for (int64_t i = 0; i < count; ++i) {
    // Values above max_value are not an error here: scaled() clips them, as Pillow does.
    const uint32_t value = read_big(bytes, header.begin + i * sample_bytes, sample_bytes);
    samples[i] = scaled(value, header);
  }
  return samples;
}

std::vector<uint16_t> raw_bits(Bytes bytes, const PnmHeader& header, const std::string& name) {
  // Rows begin at whole bytes, the leftmost pixel in the highest bit; 1 is black.
  const int64_t row_bytes = (header.width + 7) / 8;
  check_whole(bytes, header, row_bytes * header.height, name);
  std::vector<uint16_t> samples;
  samples.reserve(header.width * header.height);
  for (int64_t y = 0; y < header.height; ++y) {
    for (int64_t x = 0; x < header.width; ++x) {
      const uint8_t byte = bytes[header.begin + y * row_bytes + x / 8];
      samples.push_back((byte >> (7 - x % 8) & 1) != 0 ? 0 : 255);
    }
  }
  return samples;
}

/// 8-bit RGB, by far the most frequent kind, is copied.
Image copy_of_bytes(Bytes bytes, const PnmHeader& header, const std::string& name) {
  const int64_t count = 3 * header.width * header.height;
  check_whole(bytes, header, count, name);
  Image image(header.height, header.width);
  std::copy_n(bytes.begin() + static_cast<int64_t>(header.begin), count, image.row(0));
  return image;
}

/// Rows of float maps run from bottom to top.
CheckedImage image_of_floats(Bytes bytes, const PnmHeader& header, const std::string& name,
                             GrayRange range) {
  const int64_t count = header.width * header.height;
  check_whole(bytes, header, count * 4, name);
  std::vector<float> samples(count);
  for (int64_t y = 0; y < header.height; ++y) {
    float* row = samples.data() + (header.height - 1 - y) * header.width;
    for (int64_t x = 0; x < header.width; ++x) {
      const size_t at = header.begin + 4 * (y * header.width + x);
      row[x] = std::bit_cast<float>(header.little_endian ? read_little(bytes, at, 4)
                                                         : read_big(bytes, at, 4));
    }
  }
  return image_of_wide_gray<float>(samples, header.height, header.width, 32, range);
}

}  // namespace

PnmHeader read_pnm_header(Bytes bytes, const std::string& name) {
  IBOT_CHECK_AS(DataError, bytes[1] != '7' && bytes[1] != 'F', name, ": ",
                bytes[1] == '7' ? "PAM (P7)" : "color PFM (PF)",
                ", which is not supported; convert it to PNG");
  PnmHeader header{.kind = static_cast<char>(bytes[1])};
  Numbers numbers(bytes, 2, name);
  header.width = numbers.next();
  header.height = numbers.next();
  if (header.kind == 'f') {
    header.little_endian = numbers.next_scale() < 0;
  } else if (!is_bitmap(header)) {
    header.max_value = numbers.next();
  }
  IBOT_CHECK_AS(DataError, header.max_value > 0 && header.max_value < 65536, name,
                ": expected a largest value of 1 to 65535, got ", header.max_value);
  // Exactly one byte of white space ends the header.
  header.begin = std::min(numbers.position() + 1, bytes.size());
  return header;
}

CheckedImage decode_pnm(Bytes bytes, const std::string& name, GrayRange range) {
  const PnmHeader header = read_pnm_header(bytes, name);
  if (header.kind == 'f') return image_of_floats(bytes, header, name, range);
  if (header.kind == '6' && header.max_value == 255)
    return {copy_of_bytes(bytes, header, name), {}, {}};
  const bool color = is_color(header);
  const int64_t count = header.width * header.height * (color ? 3 : 1);
  // Before allocating: a sample takes at least one bit.
  check_whole(bytes, header, count / 8, name);
  const auto samples = header.kind <= '3'   ? plain_samples(bytes, header, count, name)
                       : header.kind == '4' ? raw_bits(bytes, header, name)
                                            : raw_samples(bytes, header, count, name);
  if (header.wide_gray()) {
    return image_of_wide_gray<uint16_t>(samples, header.height, header.width, 16, range);
  }
  Image image(header.height, header.width);
  uint8_t* to = image.row(0);
  for (int64_t i = 0; i < 3 * header.width * header.height; ++i) {
    to[i] = static_cast<uint8_t>(samples[color ? i : i / 3]);
  }
  return {std::move(image), {}, {}};
}

}  // namespace ibot::data
