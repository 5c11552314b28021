#include "io/foreign_format.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace ibot::io {
namespace {

using namespace std::string_view_literals;

struct Format {
  size_t offset;
  std::string_view magic;
  const char* text;
};

constexpr const char* kUnpack = "a compressed file; unpack it and name the file of weights in it";
constexpr const char* kArchive =
    "a tar archive: of PyTorch before 0.1.11, then load it there and save it again, or of files, "
    "then unpack it and name the file of weights in it";

constexpr std::array kFormats{
    Format{0, "version https://git-lfs"sv,
           "a pointer of Git LFS; fetch the file itself with git lfs pull"},
    Format{0, "\x1f\x8b"sv, "a gzip file; unpack it with gunzip"},
    Format{0, "BZh"sv, kUnpack},
    Format{0,
           "\xfd"
           "7zXZ"sv,
           kUnpack},
    Format{0, "\x28\xb5\x2f\xfd"sv, kUnpack},
    Format{0, "7z\xbc\xaf"sv, kUnpack},
    Format{0, "Rar!"sv, kUnpack},
    Format{257, "ustar"sv, kArchive},
    Format{0, "PK\3\4"sv, "a zip archive, as torch.save writes; name it .pth"},
    Format{0, "PK\5\6"sv, "an empty zip archive; copy or download the file again"},
    Format{0, "\x89HDF\r\n"sv,
           "an HDF5 file, as Keras and TensorFlow write; write its tensors with torch.save under "
           "their names in PyTorch"},
    Format{0, "GGUF"sv, "a GGUF file; take the model's safetensors or .pth instead"},
    Format{4, "TFL3"sv, "a TensorFlow Lite model; take its safetensors or .pth instead"},
    Format{0, "\x93NUMPY"sv, "a NumPy array; write it with torch.save"},
    Format{0, "\xff\xd8\xff"sv, "a JPEG image"},
    Format{0, "\x89PNG"sv, "a PNG image"},
    Format{0, "%PDF"sv, "a PDF document"},
    Format{0,
           "\x7f"
           "ELF"sv,
           "a program"}};

/// First character after a byte order mark and white space: a bracket in markup and JSON.
char first_letter(std::string_view bytes) {
  if (bytes.starts_with("\xef\xbb\xbf")) bytes.remove_prefix(3);
  const auto found = std::find_if(bytes.begin(), bytes.end(),
                                  [](unsigned char letter) { return std::isspace(letter) == 0; });
  return found == bytes.end() ? '\0' : *found;
}

/// Key 0x08 (field 1, varint) with a small version, then a length-delimited field numbered 1 to 11.
bool is_protobuf(std::string_view bytes) {
  return bytes.size() > 3 && bytes[0] == 8 && bytes[1] > 0 && bytes[1] < 32 &&
         (bytes[2] & 7) == 2 && bytes[2] > 8 && bytes[2] < 0x60;
}

/// A fixmap of 1 to 15 entries whose first key is a string.
bool is_msgpack(std::string_view bytes) {
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(bytes[at]); };
  return bytes.size() > 2 && byte(0) > 0x80 && byte(0) < 0x90 && byte(1) >= 0xa0 && byte(1) < 0xdc;
}

/// PROTO 2 to 5, then the opcode of a frame, container, global, string or number. Protocol 0 has no
/// such mark, hence its two usual beginnings.
bool is_pickle(std::string_view bytes) {
  if (bytes.starts_with("(dp0") || bytes.starts_with("ccopy_reg")) return true;
  return bytes.size() > 2 && bytes[0] == '\x80' && bytes[1] > 1 && bytes[1] <= 5 &&
         "\x95}](cXKJMGNU)\x8c\x8a"sv.find(bytes[2]) != std::string_view::npos;
}

}  // namespace

std::string foreign_format(std::string_view bytes) {
  if (bytes.empty()) return "an empty file; copy or download it again";
  for (const auto& format : kFormats) {
    if (bytes.size() > format.offset && bytes.substr(format.offset).starts_with(format.magic)) {
      return format.text;
    }
  }
  const char letter = first_letter(bytes);
  if (letter == '<') {
    return "a web page, which a server sent instead of the file; download it by its direct link";
  }
  if (letter == '{' || letter == '[') {
    return "a JSON text; name the file of weights that it belongs to";
  }
  if (is_protobuf(bytes)) {
    return "a protocol buffer, as ONNX and TensorFlow write; take the model's safetensors or .pth";
  }
  if (is_msgpack(bytes)) {
    return "a msgpack file, as Flax writes; write its tensors with torch.save under their names in "
           "PyTorch";
  }
  if (is_pickle(bytes)) {
    return "a pickle that torch.save did not write; load it in Python and write its tensors with "
           "torch.save";
  }
  return {};
}

}  // namespace ibot::io
