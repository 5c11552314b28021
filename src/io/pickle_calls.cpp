#include "io/pickle_calls.h"

#include <c10/util/Half.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

namespace ibot::io {
namespace {

constexpr int64_t kMaxDims = 16;
constexpr size_t kMaxArguments = 16;  // of the calls that become values

constexpr std::string_view kOrderedDict = "collections OrderedDict";
constexpr std::string_view kNamespace = "argparse Namespace";
constexpr std::string_view kTensorV1 = "torch._utils _rebuild_tensor";
constexpr std::string_view kTensorV2 = "torch._utils _rebuild_tensor_v2";
constexpr std::string_view kTensorV3 = "torch._utils _rebuild_tensor_v3";
constexpr std::string_view kParameter = "torch._utils _rebuild_parameter";
constexpr std::string_view kParameterWithState = "torch._utils _rebuild_parameter_with_state";
constexpr std::string_view kSubclass = "torch._tensor _rebuild_from_type_v2";
constexpr std::string_view kSize = "torch Size";
constexpr std::string_view kDtype = "numpy dtype";
constexpr std::string_view kEncode = "_codecs encode";
constexpr std::array kScalars{std::string_view("numpy.core.multiarray scalar"),
                              std::string_view("numpy._core.multiarray scalar")};
// The empty bytes of protocols 0 to 2.
constexpr std::array kBytes{std::string_view("__builtin__ bytes"),
                            std::string_view("builtins bytes")};
// An array that its state follows, and one that is made of a buffer.
constexpr std::array kArrays{std::string_view("numpy.core.multiarray _reconstruct"),
                             std::string_view("numpy._core.multiarray _reconstruct")};
constexpr std::array kBufferArrays{std::string_view("numpy.core.numeric _frombuffer"),
                                   std::string_view("numpy._core.numeric _frombuffer")};
// How protocols 0 and 1 create objects: arguments (class, base, value of the base).
constexpr std::array kReconstructors{std::string_view("copy_reg _reconstructor"),
                                     std::string_view("copyreg _reconstructor")};

template <class Names>
bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// "module name" of a class of storages.
bool is_storage_class(std::string_view name) {
  const auto module = name.substr(0, name.find(' '));
  return (module == "torch" || module == "torch.cuda" || module == "torch.storage") &&
         name.ends_with("Storage");
}

/// The part after the module.
std::string_view last_name(std::string_view name) { return name.substr(name.find(' ') + 1); }

template <class T>
T number_of(std::string bytes, bool big_endian) {
  if (big_endian) std::reverse(bytes.begin(), bytes.end());
  T value{};
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

/// A NumPy scalar from its dtype code ("f8") and bytes; nullopt unless it is a bool, a float or an
/// integer that fits int64.
std::optional<PickleNode> numpy_number(const PickleDtype& type, const std::string& bytes) {
  if (type.code != concat(type.code.substr(0, 1), bytes.size())) return std::nullopt;
  const auto is = [&](const char* code) { return type.code == code; };
  const bool big = type.big_endian;
  if (is("b1")) return bytes[0] != 0;
  if (is("i1")) return int64_t{number_of<int8_t>(bytes, big)};
  if (is("i2")) return int64_t{number_of<int16_t>(bytes, big)};
  if (is("i4")) return int64_t{number_of<int32_t>(bytes, big)};
  if (is("i8")) return number_of<int64_t>(bytes, big);
  if (is("u1")) return int64_t{number_of<uint8_t>(bytes, big)};
  if (is("u2")) return int64_t{number_of<uint16_t>(bytes, big)};
  if (is("u4")) return int64_t{number_of<uint32_t>(bytes, big)};
  if (is("f2")) return static_cast<double>(static_cast<float>(number_of<c10::Half>(bytes, big)));
  if (is("f4")) return static_cast<double>(number_of<float>(bytes, big));
  if (is("f8")) return number_of<double>(bytes, big);
  if (!is("u8")) return std::nullopt;
  const auto value = number_of<uint64_t>(bytes, big);
  if (!std::in_range<int64_t>(value)) return std::nullopt;
  return static_cast<int64_t>(value);
}

}  // namespace

void PickleCalls::call(NodeId arguments) {
  const auto& items = get<PickleList>(arguments, "arguments").items;
  // A pickle may pass one long list to many calls: copying it each time would take quadratic
  // memory.
  if (items.size() > kMaxArguments) return push_object(pop());
  call(std::vector<NodeId>(items));
}

// Nothing is executed: a call of a known name becomes a value of ours, any other an opaque object.
void PickleCalls::call(const std::vector<NodeId>& arguments) {
  const NodeId callee = pop();
  if (!holds<PickleGlobal>(callee) ||
      !push_value(std::get<PickleGlobal>(nodes_[callee]).name, arguments)) {
    push_object(callee);
  }
}

void PickleCalls::push_object(NodeId callee) {
  if (const auto* object = std::get_if<PickleOpaque>(&nodes_[callee])) return push(*object);
  get<PickleGlobal>(callee, "a name to call");
  push(PickleOpaque{.global = callee});
}

bool PickleCalls::push_value(const std::string& name, const std::vector<NodeId>& arguments) {
  // BUILD sets the attributes later.
  if (name == kNamespace && arguments.empty()) {
    push(PickleDict{{}, "argparse.Namespace"});
    return true;
  }
  if (name == kOrderedDict) return push_ordered_dict(arguments);
  if (name == kTensorV1 || name == kTensorV2 || name == kTensorV3) {
    return push_tensor(arguments, name == kTensorV1 ? 4 : 6, name == kTensorV3);
  }
  if (name == kParameter || name == kParameterWithState) {
    return !arguments.empty() && push_same<PickleTensor>(arguments[0]);
  }
  if (name == kSize) return arguments.size() == 1 && push_same<PickleList>(arguments[0]);
  if (name == kDtype) return push_dtype(arguments);
  if (name == kEncode) return push_encoded(arguments);
  if (contains(kScalars, name)) return push_scalar(arguments);
  if (contains(kBufferArrays, name)) return push_array(arguments);
  if (contains(kArrays, name)) {
    push(PickleArray{});
    return true;
  }
  if (contains(kBytes, name) && arguments.empty()) {
    push(PickleBytes{});
    return true;
  }
  if (name == kSubclass) return push_subclass(arguments);
  return contains(kReconstructors, name) && push_reconstructed(arguments);
}

// Any argument other than a list of pairs makes it an opaque object.
bool PickleCalls::push_ordered_dict(const std::vector<NodeId>& arguments) {
  if (!arguments.empty() && !holds<PickleList>(arguments[0])) return false;
  push(PickleDict{{}, "collections.OrderedDict"});
  if (arguments.empty()) return true;
  for (const NodeId pair : get<PickleList>(arguments[0], "a list of pairs").items) {
    const auto& items = get<PickleList>(pair, "a pair").items;
    check(items.size() == 2, "expected pairs");
    set_items(items);
  }
  return true;
}

// torch._tensor._rebuild_from_type_v2(rebuild, type, arguments, state): the plain tensor.
bool PickleCalls::push_subclass(const std::vector<NodeId>& arguments) {
  if (arguments.size() < 3 || !holds<PickleGlobal>(arguments[0])) return false;
  const auto& name = std::get<PickleGlobal>(nodes_[arguments[0]]).name;
  if (name != kTensorV2 && name != kTensorV3) return false;
  push_known(arguments[0]);
  call(arguments[2]);
  return true;
}

// copyreg._reconstructor(class, base, state): as if the class were called without arguments.
bool PickleCalls::push_reconstructed(const std::vector<NodeId>& arguments) {
  if (arguments.empty() || !holds<PickleGlobal>(arguments[0])) return false;
  push_known(arguments[0]);
  call(std::vector<NodeId>());
  return true;
}

bool PickleCalls::push_tensor(const std::vector<NodeId>& arguments, size_t least, bool with_dtype) {
  check(arguments.size() >= least + size_t{with_dtype},
        "tensor: expected its storage, offset, size and stride");
  // storage, offset, size, stride, requires_grad, hooks[, dtype]; version 1 has the first four.
  if (!holds<PickleStorage>(arguments[0])) return false;
  PickleTensor tensor{.storage = arguments[0],
                      .offset = get<int64_t>(arguments[1], "an offset"),
                      .sizes = integers(arguments[2]),
                      .strides = integers(arguments[3]),
                      .dtype = {}};
  check(tensor.sizes.size() == tensor.strides.size(), "tensor: expected as many strides as sizes");
  if (with_dtype) tensor.dtype = last_name(get<PickleGlobal>(arguments[6], "a dtype").name);
  push(std::move(tensor));
  return true;
}

// The limit matters because one tuple may serve many tensors, each of which copies it.
std::vector<int64_t> PickleCalls::integers(NodeId id) const {
  const auto& items = get<PickleList>(id, "a tuple of sizes").items;
  check(items.size() <= kMaxDims, "tensor: expected at most ", kMaxDims, " dimensions, got ",
        items.size());
  std::vector<int64_t> values;
  for (const NodeId item : items) values.push_back(get<int64_t>(item, "a size"));
  return values;
}

bool PickleCalls::push_encoded(const std::vector<NodeId>& arguments) {
  if (arguments.size() != 2 || !holds<std::string>(arguments[0]) ||
      small_text(arguments[1], "an encoding") != "latin1") {
    return false;
  }
  std::string bytes;
  const auto& text = std::get<std::string>(nodes_[arguments[0]]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto first = static_cast<uint8_t>(text[i]);
    if (first < 0x80) {
      bytes += text[i];
      continue;
    }
    // Latin-1 beyond ASCII is two bytes in UTF-8: 0xc2 or 0xc3, then the low six bits.
    check((first == 0xc2 || first == 0xc3) && i + 1 < text.size(), kEncode,
          ": expected characters up to 255");
    bytes += static_cast<char>((first & 3) << 6 | (static_cast<uint8_t>(text[++i]) & 0x3f));
  }
  // Charged per call: one long string encoded many times must not take more memory than the file.
  room_of(bytes.size());
  push(PickleBytes{std::move(bytes)});
  return true;
}

bool PickleCalls::push_dtype(const std::vector<NodeId>& arguments) {
  if (arguments.empty() || !holds<std::string>(arguments[0])) return false;
  push(PickleDtype{small_text(arguments[0], "a code")});
  return true;
}

bool PickleCalls::push_scalar(const std::vector<NodeId>& arguments) {
  if (arguments.size() != 2 || !holds<PickleDtype>(arguments[0])) return false;
  const auto* bytes = std::get_if<PickleBytes>(&nodes_[arguments[1]]);
  const auto* text = std::get_if<std::string>(&nodes_[arguments[1]]);  // of Python 2
  if (bytes == nullptr && text == nullptr) return false;
  const auto& value = bytes != nullptr ? bytes->value : *text;
  if (value.empty() || value.size() > sizeof(int64_t)) return false;
  auto number = numpy_number(std::get<PickleDtype>(nodes_[arguments[0]]), value);
  if (number) push(*std::move(number));
  return number.has_value();
}

bool PickleCalls::push_array(const std::vector<NodeId>& arguments) {
  if (arguments.size() != 4) return false;
  push(PickleArray{.sizes = integers(arguments[2]),
                   .dtype = arguments[1],
                   .data = arguments[0],
                   .fortran = small_text(arguments[3], "an order") == "F"});
  return true;
}

void PickleCalls::build_array(NodeId state) {
  const auto& items = get<PickleList>(state, "the state of a NumPy array").items;
  check(items.size() == 5, "expected a NumPy array's version, shape, type, order and data");
  // Python 2 pickles the flag as the number that it is.
  const auto* fortran = std::get_if<bool>(&nodes_[items[3]]);
  const auto* number = std::get_if<int64_t>(&nodes_[items[3]]);
  nodes_[top()] =
      PickleArray{.sizes = integers(items[1]),
                  .dtype = items[2],
                  .data = items[4],
                  .fortran = fortran != nullptr ? *fortran : number != nullptr && *number != 0};
}

void PickleCalls::build() {
  const NodeId state = pop();
  const NodeId object = top();
  if (auto* dict = std::get_if<PickleDict>(&nodes_[object])) {
    if (dict->type != "argparse.Namespace") return;
    append_items(dict->items, get<PickleDict>(state, "a dict of attributes").items);
  } else if (auto* type = std::get_if<PickleDtype>(&nodes_[object])) {
    const auto& items = get<PickleList>(state, "the state of a NumPy type").items;
    if (items.size() < 2) return;
    const auto* order = std::get_if<std::string>(&nodes_[items[1]]);
    type->big_endian = order != nullptr && *order == ">";
  } else if (holds<PickleArray>(object)) {
    build_array(state);
  } else {
    check(holds<PickleOpaque>(object) || holds<PickleTensor>(object) || holds<PickleGlobal>(object),
          "expected attributes of an object");
  }
}

void PickleCalls::push_storage() {
  const auto& parts = get<PickleList>(pop(), "a storage").items;
  // Before PyTorch 1.6: ("module", class, source file, source code) for pickled modules.
  if (parts.size() == 4 && small_text(parts[0], "a kind") == "module") return push_object(parts[1]);
  check(
      (parts.size() == 5 || parts.size() == 6) && small_text(parts[0], "\"storage\"") == "storage",
      "storage: expected its class, key, device and size");
  check(parts.size() == 5 || std::holds_alternative<std::monostate>(nodes_[parts[5]]),
        "storage: views of storages are those of PyTorch before 0.4; save the file again");
  const auto& name = get<PickleGlobal>(parts[1], "a storage class").name;
  check(is_storage_class(name), "storage: expected a storage class, got ", name);
  push(PickleStorage{.type = std::string(last_name(name)),
                     .key = small_text(parts[2], "a storage key"),
                     .elements = get<int64_t>(parts[4], "a storage size")});
}

void PickleCalls::push_global(NodeId module, NodeId name) {
  const auto found = globals_.find({module, name});
  if (found != globals_.end()) return push_known(found->second);
  push(PickleGlobal{small_text(module, "a module") + ' ' + small_text(name, "a name")});
  globals_[{module, name}] = top();
}

void PickleCalls::append(const std::vector<NodeId>& items) {
  auto* list = std::get_if<PickleList>(&nodes_[top()]);
  if (holds<PickleOpaque>(top())) return;  // such as a deque
  check(list != nullptr && !list->tuple, "expected a list to append to");
  append_items(list->items, items);
}

void PickleCalls::set_items(const std::vector<NodeId>& items) {
  check(items.size() % 2 == 0, "expected keys and values");
  // An object that takes entries is a kind of dict: a user's subclass or a defaultdict.
  if (holds<PickleOpaque>(top())) nodes_[top()] = PickleDict{{}, "collections.OrderedDict"};
  auto* dict = std::get_if<PickleDict>(&nodes_[top()]);
  check(dict != nullptr, "expected a dict");
  append_items(dict->items, items);
}

}  // namespace ibot::io
