#include <algorithm>
#include <cctype>
#include <cmath>

#include "data/codecs.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

/// Reads the numbers of a header or of a plain file, past white space and comments.
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

  /// The digits of a plain bitmap need no space between them.
  int64_t next_bit() {
    skip_space();
    IBOT_CHECK_AS(DataError, position_ < bytes_.size(), name_, ": PNM file is truncated");
    return bytes_[position_++] - '0';
  }

  size_t position() const { return position_; }

 private:
  void skip_space() {
    while (position_ < bytes_.size()) {
      if (bytes_[position_] == '#') {
        while (position_ < bytes_.size() && bytes_[position_] != '\n') ++position_;
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

/// The 8-bit value of a sample. Pillow scales grey of more than 8 bits to 16, then clips at 255.
uint8_t to_byte(int64_t sample, const PnmHeader& header, bool gray) {
  const double full = gray && header.max_value > 255 ? 65535.0 : 255.0;
  const double scaled = static_cast<double>(sample) / static_cast<double>(header.max_value) * full;
  return static_cast<uint8_t>(std::min(std::nearbyint(scaled), 255.0));
}

std::vector<uint8_t> plain_samples(Bytes bytes, const PnmHeader& header, int64_t count,
                                   const std::string& name) {
  Numbers numbers(bytes, header.begin, name);
  std::vector<uint8_t> samples(count);
  for (auto& sample : samples) {
    if (header.kind == 1) {
      sample = numbers.next_bit() == 1 ? 0 : 255;
    } else {
      const int64_t value = numbers.next();
      IBOT_CHECK_AS(DataError, value <= header.max_value, name, ": expected samples of at most ",
                    header.max_value, ", got ", value);
      sample = to_byte(value, header, header.kind == 2);
    }
  }
  return samples;
}

void check_whole(Bytes bytes, const PnmHeader& header, int64_t needed, const std::string& name) {
  const auto got = static_cast<int64_t>(bytes.size() - header.begin);
  IBOT_CHECK_AS(DataError, got >= needed, name, ": PNM file is truncated: ", got, " of ", needed,
                " bytes of pixels");
}

std::vector<uint8_t> raw_samples(Bytes bytes, const PnmHeader& header, int64_t count,
                                 const std::string& name) {
  const int sample_bytes = header.max_value > 255 ? 2 : 1;
  check_whole(bytes, header, count * sample_bytes, name);
  std::vector<uint8_t> samples(count);
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t value = read_big(bytes, header.begin + i * sample_bytes, sample_bytes);
    samples[i] = to_byte(value, header, header.kind == 5);
  }
  return samples;
}

std::vector<uint8_t> raw_bits(Bytes bytes, const PnmHeader& header, const std::string& name) {
  const int64_t row_bytes = (header.width + 7) / 8;
  check_whole(bytes, header, row_bytes * header.height, name);
  std::vector<uint8_t> samples;
  for (int64_t y = 0; y < header.height; ++y) {
    for (int64_t x = 0; x < header.width; ++x) {
      const uint8_t byte = bytes[header.begin + y * row_bytes + x / 8];
      samples.push_back((byte >> (7 - x % 8) & 1) != 0 ? 0 : 255);
    }
  }
  return samples;
}

}  // namespace

PnmHeader read_pnm_header(Bytes bytes, const std::string& name) {
  PnmHeader header{.kind = bytes[1] - '0'};
  Numbers numbers(bytes, 2, name);
  header.width = numbers.next();
  header.height = numbers.next();
  if (header.kind != 1 && header.kind != 4) header.max_value = numbers.next();
  IBOT_CHECK_AS(DataError, header.max_value > 0 && header.max_value < 65536, name,
                ": expected a largest value of 1 to 65535, got ", header.max_value);
  // One byte of white space ends the header.
  header.begin = std::min(numbers.position() + 1, bytes.size());
  return header;
}

Image decode_pnm(Bytes bytes, const std::string& name) {
  const PnmHeader header = read_pnm_header(bytes, name);
  const bool color = header.kind == 3 || header.kind == 6;
  const int64_t count = header.width * header.height * (color ? 3 : 1);
  // A sample takes a bit at least, so a header cannot claim memory for what cannot come.
  check_whole(bytes, header, count / 8, name);
  const auto samples = header.kind <= 3   ? plain_samples(bytes, header, count, name)
                       : header.kind == 4 ? raw_bits(bytes, header, name)
                                          : raw_samples(bytes, header, count, name);
  Image image(header.height, header.width);
  uint8_t* to = image.row(0);
  for (int64_t i = 0; i < 3 * header.width * header.height; ++i) to[i] = samples[color ? i : i / 3];
  return image;
}

}  // namespace ibot::data
