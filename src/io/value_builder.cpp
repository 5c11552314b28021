#include "io/value_builder.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <set>

#include "ibot/base/error.h"
#include "io/storage_classes.h"

namespace ibot::io {
namespace {

constexpr int kMaxDepth = 32;
constexpr int64_t kMaxSharing = 16;  // bytes of all tensors over those of the file

/// Numbers of NumPy that tensors have too.
struct NumpyType {
  std::string_view code;
  torch::ScalarType type;
};
constexpr std::array kNumpyTypes{
    NumpyType{"b1", torch::kBool}, NumpyType{"i1", torch::kChar},  NumpyType{"i2", torch::kShort},
    NumpyType{"i4", torch::kInt},  NumpyType{"i8", torch::kLong},  NumpyType{"u1", torch::kByte},
    NumpyType{"f2", torch::kHalf}, NumpyType{"f4", torch::kFloat}, NumpyType{"f8", torch::kDouble}};

/// Makes values of a pickle's nodes.
class Builder {
 public:
  Builder(const Pickle& pickle, const std::string& where, int64_t file_size,
          const StorageBytes& bytes)
      : pickle_(pickle),
        where_(where),
        tensor_bytes_left_(kMaxSharing * file_size),
        bytes_(bytes),
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

  // Each node once: what is named twice is shared.
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
  // The name of a dtype alone, "torch.float32": an option of the run, say.
  Value make(const PickleGlobal& node, int) {
    std::string name = node.name;
    std::replace(name.begin(), name.end(), ' ', '.');
    constexpr std::string_view kModule = "torch.";
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
    // A bool of another value than 0 and 1 is undefined behavior wherever it is read.
    check(known->type != torch::kBool || !(tensor.view(torch::kByte) > 1).any().item<bool>(),
          "storage ", storage.key, ": expected booleans of 0 or 1");
    return tensor;
  }

  /// A NumPy array of numbers as a tensor of its own; any other is opaque.
  Value make(const PickleArray& node, int) {
    const auto* dtype = std::get_if<PickleDtype>(&pickle_.nodes[node.dtype]);
    const auto known = std::find_if(kNumpyTypes.begin(), kNumpyTypes.end(), [&](const auto& type) {
      return dtype != nullptr && type.code == dtype->code;
    });
    if (known == kNumpyTypes.end()) return Opaque{"numpy.ndarray"};
    const auto source = text_of(pickle_.nodes[node.data]);
    const auto item = item_size(known->type);
    int64_t size = item;
    for (const auto side : node.sizes) {
      check(side >= 0 && !__builtin_mul_overflow(size, side, &size), "an array of size ", side);
    }
    check(size == static_cast<int64_t>(source.size()), "an array of ", size, " bytes holds ",
          source.size());
    tensor_bytes_left_ -= size;
    check(tensor_bytes_left_ >= 0, "an array is named too often");
    std::vector<int64_t> sizes = node.sizes;
    if (node.fortran) std::reverse(sizes.begin(), sizes.end());
    auto tensor = torch::empty(sizes, torch::TensorOptions(known->type));
    auto* bytes = static_cast<char*>(tensor.mutable_data_ptr());
    std::copy(source.begin(), source.end(), bytes);
    for (auto* at = bytes; dtype->big_endian && at < bytes + size; at += item) {
      std::reverse(at, at + item);
    }
    check(known->type != torch::kBool || !(tensor.view(torch::kByte) > 1).any().item<bool>(),
          "expected booleans of 0 or 1");
    return node.fortran ? tensor.permute(reversed_axes(tensor.dim())).contiguous() : tensor;
  }

  static std::vector<int64_t> reversed_axes(int64_t count) {
    std::vector<int64_t> axes;
    while (count > 0) axes.push_back(--count);
    return axes;
  }

  static std::string_view text_of(const PickleNode& node) {
    if (const auto* bytes = std::get_if<PickleBytes>(&node)) return bytes->value;
    const auto* text = std::get_if<std::string>(&node);  // of Python 2
    return text == nullptr ? std::string_view() : *text;
  }

  static int64_t item_size(torch::ScalarType type) {
    return static_cast<int64_t>(torch::elementSize(type));
  }

  /// The tensor's last element lies in its storage, and it has no more elements than the storage.
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
  const StorageBytes& bytes_;
  std::vector<Value> values_;
  std::vector<State> state_;
  std::map<std::string, Loaded> storages_;
};

}  // namespace

Value value_of(const Pickle& pickle, const std::string& where, int64_t file_size,
               const StorageBytes& bytes) {
  return Builder(pickle, where, file_size, bytes).root();
}

}  // namespace ibot::io
