#include "ibot/io/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/base/hash.h"
#include "io/foreign_format.h"

namespace ibot::io {

namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

using nlohmann::json;

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr uint64_t kForeignHead = 512;  // bytes that identify another format
constexpr int kMaxHeaderDepth = 3;      // header, tensor, shape
constexpr std::string_view kMetadataKey = "__metadata__";

constexpr std::array<std::pair<std::string_view, torch::ScalarType>, 15> kDtypes{
    {{"F64", torch::kDouble},
     {"F32", torch::kFloat},
     {"F16", torch::kHalf},
     {"BF16", torch::kBFloat16},
     {"I64", torch::kLong},
     {"I32", torch::kInt},
     {"I16", torch::kShort},
     {"I8", torch::kChar},
     {"U8", torch::kByte},
     {"BOOL", torch::kBool},
     {"U16", torch::kUInt16},
     {"U32", torch::kUInt32},
     {"U64", torch::kUInt64},
     {"F8_E4M3", torch::kFloat8_e4m3fn},
     {"F8_E5M2", torch::kFloat8_e5m2}}};

// File layout: u64 header length, JSON header {name: {dtype, shape, data_offsets}}, tensor bytes.

/// A tensor as the header describes it; begin and end are offsets from the end of the header.
struct Entry {
  std::string name;
  torch::ScalarType dtype;
  std::vector<int64_t> shape;
  uint64_t begin;
  uint64_t end;
};

struct Header {
  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;
};

/// One file being read; every error names the file.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path)
      : path_(path.string()), file_(path, std::ios::binary | std::ios::ate) {
    const auto size = file_ ? static_cast<std::streamoff>(file_.tellg()) : -1;
    check(size >= 0, "cannot be read: ", std::strerror(errno));
    size_ = static_cast<uint64_t>(size);
    file_.seekg(0);
  }

  Header header() {
    check_format();
    uint64_t length = 0;
    read(&length, sizeof(length));
    std::string text(length, '\0');
    read(text.data(), length);
    Header header = parse(text);
    check_extents(header.entries, size_ - 8 - length);
    data_start_ = 8 + length;
    return header;
  }

  torch::Tensor tensor(const Entry& entry) {
    auto result = torch::empty(entry.shape, torch::TensorOptions(entry.dtype));
    file_.seekg(static_cast<std::streamoff>(data_start_ + entry.begin));
    read(result.mutable_data_ptr(), entry.end - entry.begin);
    check_booleans(entry, result);
    return result;
  }

  /// The entry's bytes within `file`, which the tensor keeps alive.
  torch::Tensor view(const Entry& entry, const std::shared_ptr<MappedFile>& file) const {
    const auto bytes = file->bytes();
    check(data_start_ + entry.end <= bytes.size(), "became shorter while it was read");
    const char* data = bytes.data() + data_start_ + entry.begin;
    check(reinterpret_cast<uintptr_t>(data) % torch::elementSize(entry.dtype) == 0, "tensor ",
          entry.name, ": expected to begin at a multiple of its element's size");
    auto result = torch::from_blob(
        const_cast<char*>(data), entry.shape, [file](void*) {}, torch::TensorOptions(entry.dtype));
    check_booleans(entry, result);
    return result;
  }

 private:
  template <class... Parts>
  void check(bool ok, const Parts&... parts) const {
    if (!ok) throw CheckpointError(concat(path_, ": ", parts...));
  }

  /// Loading a bool whose byte is neither 0 nor 1 is undefined behavior in C++.
  void check_booleans(const Entry& entry, const torch::Tensor& tensor) const {
    if (entry.dtype != torch::kBool) return;
    check(!(tensor.view(torch::kByte) > 1).any().item<bool>(), "tensor ", entry.name,
          ": expected booleans of 0 or 1");
  }

  void read(void* data, uint64_t size) {
    file_.read(static_cast<char*>(data), static_cast<std::streamsize>(size));
    check(static_cast<uint64_t>(file_.gcount()) == size, "expected ", size_, " bytes, ended early");
  }

  /// Accepts a plausible header length followed by a brace; otherwise names the actual format.
  void check_format() {
    std::string head(std::min<uint64_t>(size_, kForeignHead), '\0');
    read(head.data(), head.size());
    file_.seekg(0);
    uint64_t length = 0;
    if (size_ >= 8) std::memcpy(&length, head.data(), 8);
    if (size_ > 8 && length <= size_ - 8 && length <= kMaxHeaderBytes && head[8] == '{') return;
    const auto other = foreign_format(head);
    check(other.empty(), "expected weights, got ", other);
    check(size_ >= 8, "expected at least the 8 bytes of a header length, got ", size_);
    check(length <= kMaxHeaderBytes,
          "is neither a .pth nor a .safetensors file; header: expected at most ", kMaxHeaderBytes,
          " bytes, got ", length);
    check(length <= size_ - 8, "header: expected within the file's ", size_, " bytes, got ", length,
          "; the file is cut off, copy or download it again");
  }

  json parse_json(const std::string& text) const {
    // The parser stops at a NUL byte and skips leading white space; the format allows neither.
    check(text.starts_with('{') && text.find('\0') == std::string::npos,
          "header: expected a JSON object");
    // The parser keeps the last of several equal keys: duplicates are detected here, by depth.
    std::array<std::set<std::string>, kMaxHeaderDepth> names;
    const auto watch = [&](int depth, json::parse_event_t event, json& value) {
      if (event == json::parse_event_t::object_start || event == json::parse_event_t::array_start) {
        check(depth < kMaxHeaderDepth, "header: nested deeper than ", kMaxHeaderDepth);
        names[static_cast<size_t>(depth)].clear();
      } else if (event == json::parse_event_t::key) {
        const auto& name = value.get_ref<const std::string&>();
        check(names[static_cast<size_t>(depth) - 1].insert(name).second, "header: ", name,
              " occurs twice");
      }
      return true;
    };
    try {
      return json::parse(text, watch);
    } catch (const json::parse_error& error) {
      throw CheckpointError(concat(path_, ": header: not valid JSON at byte ", error.byte));
    } catch (const json::out_of_range&) {
      throw CheckpointError(concat(path_, ": header: a number is out of range"));
    }
  }

  Header parse(const std::string& text) const {
    const json root = parse_json(text);
    Header header;
    for (const auto& [name, value] : root.items()) {
      check(value.is_object(), "header: ", name, ": expected an object");
      if (name == kMetadataKey) {
        for (const auto& [key, content] : value.items()) {
          check(content.is_string(), "metadata ", key, ": expected a string");
          header.metadata.emplace(key, content.get<std::string>());
        }
      } else {
        header.entries.push_back(parse_entry(name, value));
      }
    }
    return header;
  }

  Entry parse_entry(const std::string& name, const json& value) const {
    for (const char* key : {"dtype", "shape", "data_offsets"}) {
      check(value.contains(key), "tensor ", name, ": expected ", key);
    }
    check(value.size() == 3, "tensor ", name, ": expected only dtype, shape and data_offsets");
    const auto& dtype = value["dtype"];
    const auto known = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const auto& candidate) {
      return dtype.is_string() && dtype.get_ref<const std::string&>() == candidate.first;
    });
    check(known != kDtypes.end(), "tensor ", name, ": unknown dtype ", dtype.dump());
    const auto shape = integers(name, "shape", value["shape"]);
    const auto offsets = integers(name, "data_offsets", value["data_offsets"]);
    check(offsets.size() == 2 && offsets[0] <= offsets[1], "tensor ", name,
          ": data_offsets: expected [begin, end], got ", value["data_offsets"].dump());
    Entry entry{name, known->second, {shape.begin(), shape.end()}, offsets[0], offsets[1]};
    check_size(entry);
    return entry;
  }

  std::vector<uint64_t> integers(const std::string& name, const char* key, const json& list) const {
    check(list.is_array(), "tensor ", name, ": ", key, ": expected a list");
    std::vector<uint64_t> values;
    for (const auto& item : list) {
      // Values of 2^63 and above would become negative sizes.
      check(item.is_number_unsigned() && std::in_range<int64_t>(item.get<uint64_t>()), "tensor ",
            name, ": ", key, ": expected integers from 0 to 2^63 - 1, got ", item.dump());
      values.push_back(item.get<uint64_t>());
    }
    return values;
  }

  void check_size(const Entry& entry) const {
    // Strides of empty tensors must not overflow either, so size 0 counts as 1 in the product.
    int64_t bytes = static_cast<int64_t>(torch::elementSize(entry.dtype));
    bool overflow = false;
    for (const int64_t size : entry.shape) {
      overflow |= __builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes);
    }
    check(!overflow, "tensor ", entry.name, ": shape overflows");
    if (std::count(entry.shape.begin(), entry.shape.end(), 0) > 0) bytes = 0;
    const uint64_t extent = entry.end - entry.begin;
    check(extent == static_cast<uint64_t>(bytes), "tensor ", entry.name, ": expected ", bytes,
          " bytes from its shape, got ", extent);
  }

  void check_extents(std::vector<Entry>& entries, uint64_t size) const {
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    uint64_t position = 0;
    for (const Entry& entry : entries) {
      // The format allows neither holes nor overlaps: the file's bytes are exactly those of its
      // tensors.
      check(entry.begin == position, "tensor ", entry.name, ": expected to begin at byte ",
            position, ", got ", entry.begin, "; extents overlap or leave a hole");
      position = entry.end;
    }
    check(position == size, "expected ", position, " bytes of tensors, got ", size,
          position > size ? "; the file is cut off, copy or download it again" : "");
  }

  std::string path_;
  std::ifstream file_;
  uint64_t size_ = 0;
  uint64_t data_start_ = 0;
};

std::string_view dtype_name(const std::string& name, const torch::Tensor& tensor) {
  IBOT_CHECK(tensor.defined(), "write_safetensors: tensor ", name, " is undefined");
  IBOT_CHECK(tensor.layout() == torch::kStrided, "write_safetensors: tensor ", name,
             ": expected a dense tensor");
  for (const auto& [known, dtype] : kDtypes) {
    if (tensor.scalar_type() == dtype) return known;
  }
  throw Error(concat("write_safetensors: tensor ", name, ": expected a dtype of the format, got ",
                     tensor.scalar_type()));
}

using Named = std::pair<std::string, torch::Tensor>;

/// Widest elements first, then by name: aligns every tensor without padding, which the format
/// forbids.
std::vector<Named> file_order(const std::map<std::string, torch::Tensor>& tensors) {
  std::vector<Named> order(tensors.begin(), tensors.end());
  for (const auto& [name, tensor] : order) dtype_name(name, tensor);
  std::stable_sort(order.begin(), order.end(), [](const Named& a, const Named& b) {
    return a.second.element_size() > b.second.element_size();
  });
  return order;
}

std::string header_text(const std::vector<Named>& order,
                        const std::map<std::string, std::string>& metadata) {
  json header = json::object();
  if (!metadata.empty()) header[std::string(kMetadataKey)] = metadata;
  uint64_t position = 0;
  for (const auto& [name, tensor] : order) {
    IBOT_CHECK(name != kMetadataKey, "write_safetensors: no tensor may be called ", name);
    const uint64_t end = position + tensor.nbytes();
    header[name] = {{"dtype", dtype_name(name, tensor)},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {position, end}}};
    position = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const json::type_error&) {
    throw Error("write_safetensors: expected names and metadata in UTF-8");
  }
  text.append((8 - text.size() % 8) % 8, ' ');  // so that the data begin 8-byte aligned
  IBOT_CHECK(text.size() <= kMaxHeaderBytes, "write_safetensors: header: expected at most ",
             kMaxHeaderBytes, " bytes, got ", text.size());
  return text;
}

}  // namespace

Safetensors read_safetensors(const std::filesystem::path& path, std::string_view prefix) {
  Reader reader(path);
  Header header = reader.header();
  Safetensors content;
  content.metadata = std::move(header.metadata);
  for (const Entry& entry : header.entries) {
    if (entry.name.starts_with(prefix)) content.tensors[entry.name] = reader.tensor(entry);
  }
  return content;
}

Safetensors map_safetensors(const std::filesystem::path& path) {
  Reader reader(path);
  Header header = reader.header();
  // Each tensor's deleter holds a copy: the last tensor destroyed unmaps the file.
  const auto file = std::make_shared<MappedFile>(path);
  Safetensors content;
  content.metadata = std::move(header.metadata);
  for (const Entry& entry : header.entries) {
    content.tensors[entry.name] = reader.view(entry, file);
  }
  return content;
}

std::map<std::string, std::string> read_safetensors_metadata(const std::filesystem::path& path) {
  return Reader(path).header().metadata;
}

FileDigest write_safetensors(const std::filesystem::path& path, const Safetensors& content) {
  const auto order = file_order(content.tensors);
  const std::string header = header_text(order, content.metadata);
  FileDigest digest;
  Hash hash;
  write_file(path, [&](const ByteSink& sink) {
    const auto put = [&](const void* data, size_t size) {
      hash.add(data, size);
      digest.size += size;
      sink(data, size);
    };
    const uint64_t length = header.size();
    put(&length, sizeof(length));
    put(header.data(), header.size());
    // One at a time: at most one tensor of another device is in host memory.
    for (const auto& [name, tensor] : order) {
      const auto host = tensor.detach().to(torch::kCPU).contiguous();
      put(host.const_data_ptr(), host.nbytes());
    }
  });
  digest.xxh3 = hash.hex();
  return digest;
}

}  // namespace ibot::io
