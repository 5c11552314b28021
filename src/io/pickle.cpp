#include "io/pickle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "io/pickle_stack.h"

namespace ibot::io {
namespace {

constexpr int64_t kMaxDims = 16;

constexpr std::string_view kOrderedDict = "collections OrderedDict";
constexpr std::string_view kNamespace = "argparse Namespace";
constexpr std::string_view kTensorV2 = "torch._utils _rebuild_tensor_v2";
constexpr std::string_view kTensorV3 = "torch._utils _rebuild_tensor_v3";
constexpr std::string_view kParameter = "torch._utils _rebuild_parameter";
constexpr std::string_view kSize = "torch Size";
constexpr std::string_view kDtype = "numpy dtype";
constexpr std::string_view kEncode = "_codecs encode";
constexpr std::array kScalars{std::string_view("numpy.core.multiarray scalar"),
                              std::string_view("numpy._core.multiarray scalar")};
constexpr std::array kCallables{kOrderedDict, kNamespace, kTensorV2,   kTensorV3,   kParameter,
                                kSize,        kDtype,     kScalars[0], kScalars[1], kEncode};
constexpr std::array kStorages{
    std::string_view("FloatStorage"),  std::string_view("DoubleStorage"),
    std::string_view("HalfStorage"),   std::string_view("BFloat16Storage"),
    std::string_view("LongStorage"),   std::string_view("IntStorage"),
    std::string_view("ShortStorage"),  std::string_view("CharStorage"),
    std::string_view("ByteStorage"),   std::string_view("BoolStorage"),
    std::string_view("UntypedStorage")};
constexpr std::array kDtypes{std::string_view("float32"), std::string_view("float64"),
                             std::string_view("float16"), std::string_view("bfloat16"),
                             std::string_view("int64"),   std::string_view("int32"),
                             std::string_view("int16"),   std::string_view("int8"),
                             std::string_view("uint8"),   std::string_view("bool")};

template <class Names>
bool contains(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_torch_module(std::string_view module) {
  return module == "torch" || module == "torch.cuda" || module == "torch.storage";
}

bool is_allowed(std::string_view module, std::string_view name) {
  if (is_torch_module(module) && contains(kStorages, name)) return true;
  if (module == "torch" && contains(kDtypes, name)) return true;
  return contains(kCallables, concat(module, ' ', name));
}

/// The part after the module.
std::string_view last_name(std::string_view name) { return name.substr(name.find(' ') + 1); }

/// A stack machine of which only the harmless instructions are left.
class Machine : PickleStack {
 public:
  using PickleStack::PickleStack;

  Pickle run() {
    for (;;) {
      const auto opcode = next_opcode();
      if (opcode == '.') break;
      execute(opcode);
    }
    return finish();
  }

 private:
  void execute(uint8_t opcode) {
    if (execute_number(opcode) || execute_text(opcode) || execute_memo(opcode) ||
        execute_container(opcode) || execute_object(opcode)) {
      return;
    }
    constexpr std::string_view kHex = "0123456789abcdef";
    check(false, "opcode 0x", kHex[opcode >> 4], kHex[opcode & 15],
          " is not one that tensors, containers, numbers and text need");
  }

  bool execute_number(uint8_t opcode) {
    switch (opcode) {
      case 0x80:  // PROTO
        check(read<uint8_t>() <= 5, "expected a protocol up to 5");
        return true;
      case 0x95:  // FRAME
        read<uint64_t>();
        return true;
      case 'N':
        push(std::monostate());
        return true;
      case 0x88:  // NEWTRUE
      case 0x89:  // NEWFALSE
        push(opcode == 0x88);
        return true;
      case 'K':
        push(int64_t{read<uint8_t>()});
        return true;
      case 'M':
        push(int64_t{read<uint16_t>()});
        return true;
      case 'J':
        push(int64_t{read<int32_t>()});
        return true;
      case 0x8a:  // LONG1
        push(read_long());
        return true;
      case 'G':
        push(std::bit_cast<double>(__builtin_bswap64(read<uint64_t>())));
        return true;
      default:
        return false;
    }
  }

  bool execute_text(uint8_t opcode) {
    switch (opcode) {
      case 'X':  // BINUNICODE
        push(std::string(take(read<uint32_t>())));
        return true;
      case 0x8c:  // SHORT_BINUNICODE
      case 'U':   // SHORT_BINSTRING
        push(std::string(take(read<uint8_t>())));
        return true;
      case 0x8d:  // BINUNICODE8
        push(std::string(take(read<uint64_t>())));
        return true;
      case 'C':  // SHORT_BINBYTES
        push(PickleBytes{std::string(take(read<uint8_t>()))});
        return true;
      case 'B':  // BINBYTES
        push(PickleBytes{std::string(take(read<uint32_t>()))});
        return true;
      default:
        return false;
    }
  }

  bool execute_memo(uint8_t opcode) {
    switch (opcode) {
      case 'q':  // BINPUT
        remember(read<uint8_t>());
        return true;
      case 'r':  // LONG_BINPUT
        remember(read<uint32_t>());
        return true;
      case 0x94:  // MEMOIZE
        remember_next();
        return true;
      case 'h':  // BINGET
        recall(read<uint8_t>());
        return true;
      case 'j':  // LONG_BINGET
        recall(read<uint32_t>());
        return true;
      case '0':  // POP
        pop();
        return true;
      default:
        return false;
    }
  }

  bool execute_container(uint8_t opcode) {
    switch (opcode) {
      case '(':
        mark();
        return true;
      case ')':
        push(PickleList{{}, true});
        return true;
      case 't':
        push(PickleList{pop_to_mark(), true});
        return true;
      case 0x85:  // TUPLE1
      case 0x86:  // TUPLE2
      case 0x87:  // TUPLE3
        push(PickleList{pop_many(opcode - size_t{0x84}), true});
        return true;
      case ']':
        push(PickleList{});
        return true;
      case 'a':  // APPEND
        append(pop_many(1));
        return true;
      case 'e':  // APPENDS
        append(pop_to_mark());
        return true;
      case '}':
        push(PickleDict{});
        return true;
      case 's':  // SETITEM
        set_items(pop_many(2));
        return true;
      case 'u':  // SETITEMS
        set_items(pop_to_mark());
        return true;
      default:
        return false;
    }
  }

  bool execute_object(uint8_t opcode) {
    switch (opcode) {
      case 'c': {  // GLOBAL
        const auto module = read_line();
        push_global(module, read_line());
        return true;
      }
      case 0x93: {  // STACK_GLOBAL
        const auto name = std::string(small_text(pop(), "a name"));
        const auto module = std::string(small_text(pop(), "a module"));
        push_global(module, name);
        return true;
      }
      case 'R':   // REDUCE
      case 0x81:  // NEWOBJ
        call();
        return true;
      case 'b':  // BUILD
        build();
        return true;
      case 'Q':  // BINPERSID
        push_storage();
        return true;
      default:
        return false;
    }
  }

  // Calls of allowed names become nodes.

  void call() {
    const auto arguments = pop_arguments();
    const auto name = get<PickleGlobal>(pop(), "an allowed name").name;
    if (name == kOrderedDict || name == kNamespace) {
      check(arguments.empty(), name, ": expected no arguments");
      push(PickleDict{{}, name == kNamespace ? "argparse.Namespace" : "collections.OrderedDict"});
    } else if (name == kTensorV2 || name == kTensorV3) {
      push_tensor(arguments, name == kTensorV3);
    } else if (name == kParameter) {
      check(!arguments.empty() && holds<PickleTensor>(arguments[0]), name, ": expected a tensor");
      push_known(arguments[0]);
    } else if (name == kSize) {
      check(arguments.size() == 1 && holds<PickleList>(arguments[0]), name, ": expected a tuple");
      push_known(arguments[0]);
    } else if (name == kDtype) {
      check(!arguments.empty(), name, ": expected a code");
      push(PickleDtype{small_text(arguments[0], "a code")});
    } else if (name == kEncode) {
      push_encoded(arguments);
    } else if (contains(kScalars, name)) {
      push_scalar(arguments);
    } else {
      check(false, name, " is not called in files of tensors");
    }
  }

  void push_tensor(const std::vector<NodeId>& arguments, bool with_dtype) {
    check(arguments.size() >= 6 + size_t{with_dtype},
          "tensor: expected its storage, offset, size "
          "and stride");
    check(holds<PickleStorage>(arguments[0]), "tensor: expected a storage");
    PickleTensor tensor{.storage = arguments[0],
                        .offset = get<int64_t>(arguments[1], "an offset"),
                        .sizes = integers(arguments[2]),
                        .strides = integers(arguments[3]),
                        .dtype = {}};
    check(tensor.sizes.size() == tensor.strides.size(),
          "tensor: expected as many strides as "
          "sizes");
    if (with_dtype) tensor.dtype = last_name(get<PickleGlobal>(arguments[6], "a dtype").name);
    push(std::move(tensor));
  }

  std::vector<int64_t> integers(NodeId id) const {
    const auto& items = get<PickleList>(id, "a tuple of sizes").items;
    check(items.size() <= kMaxDims, "tensor: expected at most ", kMaxDims, " dimensions, got ",
          items.size());
    std::vector<int64_t> values;
    for (const NodeId item : items) values.push_back(get<int64_t>(item, "a size"));
    return values;
  }

  // Protocol 2 has no bytes: Python writes them as text, one character a byte.
  void push_encoded(const std::vector<NodeId>& arguments) {
    check(arguments.size() == 2 && small_text(arguments[1], "an encoding") == "latin1", kEncode,
          ": expected text in latin1");
    std::string bytes;
    const auto& text = small_text(arguments[0], "text");
    for (size_t i = 0; i < text.size(); ++i) {
      const auto first = static_cast<uint8_t>(text[i]);
      if (first < 0x80) {
        bytes += text[i];
        continue;
      }
      check((first == 0xc2 || first == 0xc3) && i + 1 < text.size(), kEncode,
            ": expected characters up to 255");
      bytes += static_cast<char>((first & 3) << 6 | (static_cast<uint8_t>(text[++i]) & 0x3f));
    }
    push(PickleBytes{std::move(bytes)});
  }

  void push_scalar(const std::vector<NodeId>& arguments) {
    check(arguments.size() == 2, "NumPy scalar: expected a type and its bytes");
    const auto& code = get<PickleDtype>(arguments[0], "a NumPy type").code;
    const auto& bytes = get<PickleBytes>(arguments[1], "the bytes of a number").value;
    check((code == "f8" || code == "i8") && bytes.size() == 8,
          "NumPy scalar: expected f8 or i8 in 8 bytes, got ", code, " in ", bytes.size());
    if (code == "f8") {
      double value = 0;
      std::memcpy(&value, bytes.data(), sizeof(value));
      push(value);
    } else {
      int64_t value = 0;
      std::memcpy(&value, bytes.data(), sizeof(value));
      push(value);
    }
  }

  void build() {
    const NodeId state = pop();
    const NodeId object = top();
    if (auto* dict = std::get_if<PickleDict>(&nodes_[object])) {
      const auto* entries = std::get_if<PickleDict>(&nodes_[state]);
      check(entries != nullptr, "expected a dict of attributes");
      // A state dict's only attribute is `_metadata`, the versions of its layers.
      if (dict->type == "argparse.Namespace") append_items(dict->items, entries->items);
    } else if (holds<PickleDtype>(object)) {
      const auto& items = get<PickleList>(state, "the state of a NumPy type").items;
      check(items.size() >= 2 && small_text(items[1], "a byte order") == "<",
            "NumPy type: expected little-endian");
    } else {
      check(false, "expected attributes of a dict or a Namespace");
    }
  }

  void push_storage() {
    const auto parts = pop_arguments();
    check((parts.size() == 5 || parts.size() == 6) &&
              small_text(parts[0], "\"storage\"") == "storage",
          "storage: expected its class, key, device and size");
    check(parts.size() == 5 || std::holds_alternative<std::monostate>(nodes_[parts[5]]),
          "storage: views of storages are those of PyTorch before 0.4; save the file anew");
    const auto name = get<PickleGlobal>(parts[1], "a storage class").name;
    check(contains(kStorages, last_name(name)), "storage: expected a storage class, got ", name);
    push(PickleStorage{.type = std::string(last_name(name)),
                       .key = small_text(parts[2], "a storage key"),
                       .elements = get<int64_t>(parts[4], "a storage size")});
  }

  void push_global(const std::string& module, const std::string& name) {
    check(is_allowed(module, name), "global ", module, '.', name,
          " is refused; only tensors, containers, numbers and text are read");
    push(PickleGlobal{module + ' ' + name});
  }

  // Containers.

  void append(const std::vector<NodeId>& items) {
    auto* list = std::get_if<PickleList>(&nodes_[top()]);
    check(list != nullptr && !list->tuple, "expected a list to append to");
    append_items(list->items, items);
  }

  void set_items(const std::vector<NodeId>& items) {
    auto* dict = std::get_if<PickleDict>(&nodes_[top()]);
    check(dict != nullptr && items.size() % 2 == 0, "expected a dict, keys and values");
    append_items(dict->items, items);
  }
};

}  // namespace

Pickle read_pickle(std::string_view bytes, const std::string& where) {
  return Machine(bytes, where).run();
}

}  // namespace ibot::io
