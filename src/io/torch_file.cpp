#include "ibot/io/torch_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <map>
#include <set>

#include "ibot/base/error.h"
#include "ibot/io/file.h"
#include "io/foreign_format.h"
#include "io/pickle.h"
#include "io/storage_classes.h"
#include "io/zip.h"

namespace ibot::io {
namespace {

constexpr std::string_view kZipMagic("PK\3\4", 4);
// The magic number of the stream format before PyTorch 1.6, pickled by protocol 2 or above and by
// an earlier one.
constexpr std::array kStreamMagics{
    std::string_view("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 13),
    std::string_view("L119547037146038801333356L\n.")};
constexpr size_t kMagicWithin = 48;
constexpr int64_t kStreamVersion = 1001;
constexpr int kMaxDepth = 32;
constexpr int64_t kMaxSharing = 16;  // limit of (bytes of all tensors) / (bytes of the file)

/// Bytes of a storage within the file.
using StorageBytes = std::function<std::string_view(const PickleStorage& storage)>;

/// Converts the nodes of a pickle to values.
class Builder {
 public:
  Builder(const Pickle& pickle, const std::string& where, int64_t file_size, StorageBytes bytes)
      : pickle_(pickle),
        where_(where),
        tensor_bytes_left_(kMaxSharing * file_size),
        bytes_(std::move(bytes)),
        values_(pickle.nodes.size()),
        state_(pickle.nodes.size(), State::kNew) {}

  Value root() { return value(pickle_.root, 0); }

 private:
  enum class State : char { kNew, kOpen, kDone };

  struct Loaded {
    std::string type;
    int64_t elements = 0;
    torch::Tensor bytes;
  };

  template <class... Parts>
  void check(bool ok, const Parts&... parts) const {
    if (!ok) throw CheckpointError(concat(where_, ": ", parts...));
  }

  // Each node is converted once; repeated references share the value. kOpen detects cycles.
  const Value& value(NodeId id, int depth) {
    if (state_[id] == State::kDone) return values_[id];
    check(state_[id] == State::kNew, "a container holds itself");
    check(depth < kMaxDepth, "nested deeper than ", kMaxDepth);
    state_[id] = State::kOpen;
    values_[id] =
        std::visit([&](const auto& node) { return make(node, depth + 1); }, pickle_.nodes[id]);
    state_[id] = State::kDone;
    return values_[id];
  }

  Value make(std::monostate, int) { return {}; }
  Value make(bool node, int) { return node; }
  Value make(int64_t node, int) { return node; }
  Value make(double node, int) { return node; }
  Value make(const std::string& node, int) { return node; }
  Value make(const PickleBytes& node, int) { return node.value; }
  // A dtype by itself, "torch.float32", such as an option of the run.
  Value make(const PickleGlobal& node, int) {
    std::string name = node.name;
    std::replace(name.begin(), name.end(), ' ', '.');
    constexpr std::string_view kModule = "torch.";
    // Dtypes become their name, as text; other globals are opaque.
    const bool is_dtype =
        name.starts_with(kModule) &&
        std::any_of(kStorageClasses.begin(), kStorageClasses.end(), [&](const auto& known) {
          return known.dtype == std::string_view(name).substr(kModule.size());
        });
    return is_dtype ? Value(name) : Value(Opaque{std::move(name)});
  }
  Value make(const PickleOpaque& node, int depth) {
    return node.kind != nullptr ? Value(Opaque{node.kind}) : value(node.global, depth);
  }
  Value make(const PickleDtype& node, int) { return node.code; }
  Value make(const PickleStorage& node, int) { return Opaque{"torch." + node.type}; }

  Value make(const PickleList& node, int depth) {
    List list{{}, node.tuple};
    list.items.reserve(node.items.size());
    for (const NodeId item : node.items) list.items.push_back(value(item, depth));
    return list;
  }

  Value make(const PickleDict& node, int depth) {
    Dict dict{{}, node.type};
    std::set<std::string> names;
    std::set<int64_t> numbers;
    for (size_t i = 0; i < node.items.size(); i += 2) {
      const Value& key = value(node.items[i], depth);
      check(key.text() == nullptr || names.insert(*key.text()).second,
            "a key occurs twice: ", key.text() == nullptr ? "" : *key.text());
      check(!key.integer() || numbers.insert(*key.integer()).second,
            "a key occurs twice: a number");
      dict.items.emplace_back(key, value(node.items[i + 1], depth));
    }
    return dict;
  }

  Value make(const PickleTensor& node, int) {
    const auto& storage = std::get<PickleStorage>(pickle_.nodes[node.storage]);
    const auto& name = node.dtype.empty() ? storage.type : node.dtype;
    const auto known =
        std::find_if(kStorageClasses.begin(), kStorageClasses.end(), [&](const auto& candidate) {
          return candidate.storage == name || candidate.dtype == name;
        });
    if (known == kStorageClasses.end() || at::isQIntType(known->type)) {
      return Opaque{"torch.Tensor of " + name};
    }
    const auto& bytes = load(storage).bytes;
    check_extent(node, storage.key, bytes.numel() / item_size(known->type), item_size(known->type));
    auto tensor = torch::empty({0}, torch::TensorOptions(known->type));
    tensor.set_(bytes.storage(), node.offset, node.sizes, node.strides);
    // Loading a bool whose byte is neither 0 nor 1 is undefined behavior in C++.
    check(known->type != torch::kBool || !(tensor.view(torch::kByte) > 1).any().item<bool>(),
          "storage ", storage.key, ": expected booleans of 0 or 1");
    return tensor;
  }

  static int64_t item_size(torch::ScalarType type) {
    return static_cast<int64_t>(torch::elementSize(type));
  }

  /// Checks that the tensor's last element lies within its storage and that it has no more elements
  /// than the storage: strides of 0 could otherwise claim any size. The overflow checks matter
  /// because sizes and strides come from the file.
  void check_extent(const PickleTensor& node, const std::string& key, int64_t elements,
                    int64_t item) {
    int64_t count = 1;
    int64_t last = node.offset;
    bool ok = node.offset >= 0;
    for (size_t i = 0; i < node.sizes.size(); ++i) {
      int64_t reach = 0;
      ok = ok && node.sizes[i] >= 0 && node.strides[i] >= 0 &&
           !__builtin_mul_overflow(std::max<int64_t>(node.sizes[i] - 1, 0), node.strides[i],
                                   &reach) &&
           !__builtin_add_overflow(last, reach, &last) &&
           !__builtin_mul_overflow(count, std::max<int64_t>(node.sizes[i], 1), &count);
    }
    const bool empty = std::count(node.sizes.begin(), node.sizes.end(), 0) > 0;
    ok = ok && node.offset <= elements && (empty || (last < elements && count <= elements));
    check(ok, "storage ", key, ": a tensor does not lie within its ", elements, " elements");
    tensor_bytes_left_ -= empty ? 0 : count * item;
    check(tensor_bytes_left_ >= 0, "storage ", key, ": named by too many tensors");
  }

  const Loaded& load(const PickleStorage& storage) {
    const auto known = storages_.find(storage.key);
    if (known != storages_.end()) {
      check(known->second.type == storage.type && known->second.elements == storage.elements,
            "storage ", storage.key, ": described in two ways");
      return known->second;
    }
    const auto source = bytes_(storage);
    auto bytes = torch::empty({static_cast<int64_t>(source.size())}, torch::kByte);
    if (!source.empty()) std::memcpy(bytes.mutable_data_ptr(), source.data(), source.size());
    return storages_[storage.key] = {storage.type, storage.elements, std::move(bytes)};
  }

  const Pickle& pickle_;
  const std::string& where_;
  int64_t tensor_bytes_left_;
  StorageBytes bytes_;
  std::vector<Value> values_;
  std::vector<State> state_;
  std::map<std::string, Loaded> storages_;
};

/// Size of `storage` in bytes.
uint64_t storage_size(const PickleStorage& storage, const std::string& where) {
  int64_t item = 1;  // UntypedStorage counts bytes
  for (const auto& known : kStorageClasses) {
    if (known.storage == storage.type) item = static_cast<int64_t>(torch::elementSize(known.type));
  }
  int64_t bytes = 0;
  IBOT_CHECK_AS(CheckpointError,
                storage.elements >= 0 && !__builtin_mul_overflow(storage.elements, item, &bytes),
                where, ": storage ", storage.key, ": expected a size, got ", storage.elements);
  return static_cast<uint64_t>(bytes);
}

std::string_view checked_entry(const std::map<std::string, ZipEntry>& entries,
                               const std::string& name, const std::string& where) {
  const auto found = entries.find(name);
  IBOT_CHECK_AS(CheckpointError, found != entries.end(), where, ": expected an entry ", name,
                ", found none");
  IBOT_CHECK_AS(CheckpointError, !found->second.compressed, where, ": ", name,
                " is compressed; torch.save stores entries uncompressed, save the file again");
  IBOT_CHECK_AS(CheckpointError, crc32(found->second.bytes) == found->second.crc32, where, ": ",
                name, ": the checksum differs; the file is damaged");
  return found->second.bytes;
}

/// What a zip archive without a pickle of torch.save is, and the remedy.
std::string other_archive(const std::map<std::string, ZipEntry>& entries) {
  if (entries.empty()) return "an empty zip archive; copy or download the file again";
  const auto& first = entries.begin()->first;
  if (first.ends_with(".npy")) {
    return concat("a NumPy archive of ", first, "; write its tensors with torch.save");
  }
  if (entries.count("model.weights.h5") > 0) {
    return "a model of Keras; write its tensors with torch.save under their names in PyTorch";
  }
  return concat("a zip archive of other files such as ", first,
                "; unpack it and name the file of weights");
}

/// The top folder: "archive/" for the entry "archive/data.pkl". torch.save names it after the file.
std::string archive_folder(const std::map<std::string, ZipEntry>& entries,
                           const std::string& where) {
  constexpr std::string_view kPickle = "data.pkl";
  std::string folder;
  int found = 0;
  for (const auto& [name, entry] : entries) {
    const auto slash = name.find('/');
    if (slash == std::string::npos || std::string_view(name).substr(slash + 1) != kPickle) continue;
    folder = name.substr(0, slash + 1);
    ++found;
  }
  IBOT_CHECK_AS(CheckpointError, found > 0, where, ": expected a file of torch.save, got ",
                other_archive(entries));
  IBOT_CHECK_AS(CheckpointError, found == 1, where, ": expected one entry */data.pkl, got ", found,
                "; is this a file of torch.save?");
  IBOT_CHECK_AS(
      CheckpointError, entries.count(folder + "constants.pkl") == 0, where,
      ": expected a file of torch.save, got a TorchScript program; write its tensors with "
      "torch.save(torch.jit.load(FILE).state_dict(), OUT)");
  return folder;
}

Value read_archive(std::string_view file, const std::string& path) {
  const auto entries = read_zip(file, path);
  const auto folder = archive_folder(entries, path);
  if (entries.count(folder + "byteorder") > 0) {
    const auto order = checked_entry(entries, folder + "byteorder", path);
    IBOT_CHECK_AS(CheckpointError, order == "little", path,
                  ": expected little-endian numbers, got big-endian ones");
  }
  const auto where = path + ": data.pkl";
  const auto pickle = read_pickle(checked_entry(entries, folder + "data.pkl", path), where);
  const auto bytes = [&](const PickleStorage& storage) {
    const auto name = folder + "data/" + storage.key;
    const auto data = checked_entry(entries, name, path);
    const auto expected = storage_size(storage, path);
    IBOT_CHECK_AS(CheckpointError, data.size() == expected, path, ": ", name, ": expected ",
                  expected, " bytes, got ", data.size());
    return data;
  };
  return Builder(pickle, where, static_cast<int64_t>(file.size()), bytes).root();
}

/// Storage keys in the order in which their data follow.
std::vector<std::string> key_list(const Pickle& pickle, const std::string& where) {
  std::vector<std::string> keys;
  const auto* list = std::get_if<PickleList>(&pickle.nodes[pickle.root]);
  IBOT_CHECK_AS(CheckpointError, list != nullptr, where, ": expected a list of storages");
  for (const NodeId item : list->items) {
    const auto* key = std::get_if<std::string>(&pickle.nodes[item]);
    IBOT_CHECK_AS(CheckpointError, key != nullptr, where, ": expected storage keys");
    keys.push_back(*key);
  }
  return keys;
}

/// Offset after the magic number of a stream; 0 if the file does not begin with it.
size_t stream_begin(std::string_view file) {
  const auto head = file.substr(0, kMagicWithin);
  for (const auto magic : kStreamMagics) {
    const auto at = head.find(magic);
    // Preceded at most by PROTO (2 bytes) and FRAME (9 bytes).
    if (at != std::string_view::npos && at <= 11) return at + magic.size();
  }
  return 0;
}

/// Layout: pickles of the magic number, version, system, content and storage keys; then for each
/// key an int64 count of elements and its bytes.
Value read_stream(std::string_view file, const std::string& path) {
  size_t position = stream_begin(file);
  const auto next_pickle = [&](const char* name) {
    auto pickle = read_pickle(file.substr(position), path + ": " + name);
    position += pickle.size;
    return pickle;
  };
  const auto version = next_pickle("version");
  const auto* number = std::get_if<int64_t>(&version.nodes[version.root]);
  IBOT_CHECK_AS(CheckpointError, number != nullptr && *number == kStreamVersion, path,
                ": expected version ", kStreamVersion, " of the format");
  next_pickle("system");
  const auto where = path + ": content";
  const auto pickle = next_pickle("content");
  std::map<std::string, const PickleStorage*> storages;
  for (const auto& node : pickle.nodes) {
    const auto* storage = std::get_if<PickleStorage>(&node);
    if (storage != nullptr) storages[storage->key] = storage;
  }
  const auto keys = key_list(next_pickle("storages"), path);
  std::map<std::string, std::string_view> data;
  for (const auto& key : keys) {
    const auto storage = storages.find(key);
    IBOT_CHECK_AS(CheckpointError, storage != storages.end() && data.count(key) == 0, path,
                  ": expected each storage once");
    const auto size = storage_size(*storage->second, path);
    int64_t elements = -1;
    const auto rest = file.substr(position);
    if (rest.size() >= sizeof(elements)) std::memcpy(&elements, rest.data(), sizeof(elements));
    IBOT_CHECK_AS(CheckpointError,
                  elements == storage->second->elements && rest.size() - sizeof(elements) >= size,
                  path, ": storage ", key, ": expected ", storage->second->elements,
                  " elements at byte ", position, "; the file is damaged or cut off");
    data[key] = rest.substr(sizeof(elements), size);
    position += sizeof(elements) + size;
  }
  const auto bytes = [&](const PickleStorage& storage) {
    const auto found = data.find(storage.key);
    IBOT_CHECK_AS(CheckpointError,
                  found != data.end() && found->second.size() == storage_size(storage, path), path,
                  ": storage ", storage.key, ": found none of this size");
    return found->second;
  };
  return Builder(pickle, where, static_cast<int64_t>(file.size()), bytes).root();
}

}  // namespace

bool is_torch_file(const std::filesystem::path& path) {
  IBOT_CHECK(!std::filesystem::is_directory(path), "cannot read ", path.string(),
             ": is a folder; name the file of weights in it");
  const MappedFile file(path);
  return file.bytes().starts_with(kZipMagic) || stream_begin(file.bytes()) > 0;
}

TorchFile read_torch_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  if (bytes.starts_with(kZipMagic)) {
    return {TorchFormat::kZip, read_archive(bytes, path.string())};
  }
  const auto other = foreign_format(bytes);
  IBOT_CHECK_AS(CheckpointError, stream_begin(bytes) > 0, path.string(),
                ": expected a file of torch.save", other.empty() ? "" : ", got ", other);
  return {TorchFormat::kLegacy, read_stream(bytes, path.string())};
}

}  // namespace ibot::io
