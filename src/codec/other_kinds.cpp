#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "codec/codecs.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

using namespace std::string_view_literals;

struct Kind {
  size_t position;
  std::string_view magic;
  const char* name;
};

constexpr const char* kConvert = "; convert it, such as to PNG";

/// Magic bytes of image formats that are not decoded, in the order in which they are tried.
constexpr std::array kKinds{
    Kind{0, "\x00\x00\x00\x0CjP  "sv, "JPEG 2000"},
    Kind{0, "\xFF\x4F\xFF\x51"sv, "JPEG 2000"},
    Kind{0, "\x00\x00\x00\x0CJXL "sv, "JPEG XL"},
    Kind{0, "\xFF\x0A"sv, "JPEG XL"},
    Kind{0, "\x8AMNG"sv, "MNG"},
    Kind{0, "8BPS"sv, "PSD"},
    Kind{0, "\x00\x00\x01\x00"sv, "ICO"},
    Kind{0, "\x00\x00\x02\x00"sv, "CUR"},
    Kind{0, "%!PS"sv, "EPS"},
    Kind{0, "\xC5\xD0\xD3\xC6"sv, "EPS"},
    Kind{0, "DDS "sv, "DDS"},
    Kind{0, "v/1\x01"sv, "OpenEXR"},
    Kind{0, "#?RADIANCE"sv, "Radiance HDR"},
    Kind{0, "#?RGBE"sv, "Radiance HDR"},
    Kind{0, "qoif"sv, "QOI"},
    Kind{0, "gimp xcf"sv, "XCF"},
    Kind{0, "\x0A\x05\x01"sv, "PCX"},
    Kind{0, "SIMPLE  ="sv, "FITS"},
    Kind{128, "DICM"sv, "DICOM"},
    Kind{0, "AT&TFORM"sv, "DjVu"},
};

/// Magic bytes of files that are not images.
constexpr std::array kNoImages{
    Kind{0, "%PDF"sv, "PDF"},
    Kind{0, "\x1F\x8B"sv, "gzip"},
    Kind{0, "PK\x03\x04"sv, "zip"},
    Kind{0, "\x28\xB5\x2F\xFD"sv, "Zstandard"},
    Kind{0, "\xFD\x37zXZ"sv, "xz"},
    Kind{0, "BZh"sv, "bzip2"},
    Kind{0, "7z\xBC\xAF"sv, "7z"},
    Kind{0, "Rar!"sv, "RAR"},
    Kind{257, "ustar"sv, "tar"},
    Kind{8, "AVI "sv, "AVI video"},
    Kind{0, "\x1A\x45\xDF\xA3"sv, "Matroska video"},
    Kind{0, "\x93NUMPY"sv, "NumPy"},
    Kind{0, "\x89HDF"sv, "HDF5"},
    Kind{0, "SQLite format 3"sv, "SQLite"},
};

std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <class Kinds>
const char* find_kind(std::string_view text, const Kinds& kinds) {
  for (const auto& kind : kinds) {
    if (text.size() > kind.position && text.substr(kind.position).starts_with(kind.magic)) {
      return kind.name;
    }
  }
  return nullptr;
}

/// An ISO base media file: its first box, ftyp, lists brands.
std::string kind_of_boxes(std::string_view text) {
  const auto brands = text.substr(8, 56);
  if (brands.find("avi") != std::string_view::npos) return concat("AVIF", kConvert);
  for (const auto brand : {"heic", "heix", "hevc", "heim", "heis", "mif1", "msf1"}) {
    if (brands.find(brand) != std::string_view::npos) return concat("HEIC", kConvert);
  }
  return "MP4 or QuickTime video";
}

/// Whether all bytes are printable ASCII, white space or parts of UTF-8 sequences.
bool is_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x80 || std::isprint(byte) != 0 || std::isspace(byte) != 0;
  });
}

std::string kind_of_text(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto holds = [&](const char* word) { return lower.find(word) != std::string::npos; };
  if (lower.starts_with("version https://git-lfs")) {
    return "a Git LFS pointer; fetch the image by `git lfs pull`";
  }
  if (holds("<svg")) return concat("SVG", kConvert);
  if (holds("<html") || holds("<!doctype html")) return "HTML";
  return holds("<?xml") ? "XML" : "text";
}

}  // namespace

std::string kind_of_other(Bytes bytes) {
  const auto text = text_of(bytes);
  if (text.empty()) return "an empty file";
  if (const char* name = find_kind(text, kKinds)) return concat(name, kConvert);
  if (const char* name = find_kind(text, kNoImages)) return name;
  if (text.size() > 12 && text.substr(4).starts_with("ftyp")) return kind_of_boxes(text);
  if (std::all_of(text.begin(), text.end(), [](char c) { return c == 0; })) return "only zeros";
  const auto begin = text.substr(0, 1024);
  return is_text(begin) ? kind_of_text(begin) : "another kind";
}

}  // namespace ibot::data
