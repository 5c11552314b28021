#include "io/pickle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "io/pickle_calls.h"

namespace ibot::io {
namespace {

// Longest line of protocol 0: a decimal integer, and a string.
constexpr size_t kMaxDigits = 1 << 14;
constexpr size_t kMaxText = 1 << 26;

/// Python's pickle machine without its calls. Opcodes are named as in pickletools.py; single
/// letters without a name are protocol 0 or self-evident there. The input is untrusted: all reads
/// go through PickleStack, which bounds and checks them.
class Machine : PickleCalls {
 public:
  using PickleCalls::PickleCalls;

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
    check(false, "opcode 0x", kHex[opcode >> 4], kHex[opcode & 15], " is not one of torch.save");
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
        push_long(take(read<uint8_t>()));
        return true;
      case 0x8b:  // LONG4
        push_long(take(read<uint32_t>()));
        return true;
      case 'I':
      case 'L':
        push_decimal(read_line(kMaxDigits));
        return true;
      case 'F':
        push(std::strtod(read_line().c_str(), nullptr));
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
      case 'T':  // BINSTRING
        push(std::string(take(read<uint32_t>())));
        return true;
      case 0x8e:  // BINBYTES8
      case 0x96:  // BYTEARRAY8
        push(PickleBytes{std::string(take(read<uint64_t>()))});
        return true;
      case 'S':
        push(unquoted(read_line(kMaxText)));
        return true;
      case 'V':  // UNICODE
        push(unescaped(read_line(kMaxText), /*unicode=*/true));
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
      case 'p':  // PUT
        remember(read_index());
        return true;
      case 'g':  // GET
        recall(read_index());
        return true;
      case '0':  // POP
        pop();
        return true;
      case '1':  // POP_MARK
        pop_to_mark();
        return true;
      case '2':  // DUP
        push_known(top());
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
      case 'd': {
        const auto items = pop_to_mark();
        push(PickleDict{});
        set_items(items);
        return true;
      }
      case 'l':
        push(PickleList{pop_to_mark()});
        return true;
      case 0x8f:  // EMPTY_SET
        // The elements of sets are dropped; nothing that we read is a set.
        push(PickleOpaque{.kind = "set"});
        return true;
      case 0x90:  // ADDITEMS
        pop_to_mark();
        get<PickleOpaque>(top(), "a set to add to");
        return true;
      case 0x91:  // FROZENSET
        pop_to_mark();
        push(PickleOpaque{.kind = "frozenset"});
        return true;
      default:
        return false;
    }
  }

  bool execute_object(uint8_t opcode) {
    switch (opcode) {
      case 'c': {  // GLOBAL
        const auto module = read_line();
        push(PickleGlobal{module + ' ' + read_line()});
        return true;
      }
      case 0x93: {  // STACK_GLOBAL
        const NodeId name = pop();
        push_global(pop(), name);
        return true;
      }
      case 'R':   // REDUCE
      case 0x81:  // NEWOBJ
        call(pop());
        return true;
      case 0x92:  // NEWOBJ_EX
        pop();    // keyword arguments
        call(pop());
        return true;
      case 'i': {  // INST
        const auto module = read_line();
        const auto name = module + ' ' + read_line();
        const auto arguments = pop_to_mark();
        push(PickleGlobal{name});
        call(arguments);
        return true;
      }
      case 'o': {  // OBJ
        auto arguments = pop_to_mark();
        check(!arguments.empty(), "expected a class");
        push_known(arguments.front());
        arguments.erase(arguments.begin());
        call(arguments);
        return true;
      }
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

  // Numbers and text.

  /// A little-endian two's complement integer of any length, sign-extended to 64 bits.
  void push_long(std::string_view digits) {
    if (digits.size() > 8) return push(PickleOpaque{.kind = "int of more than 64 bits"});
    int64_t value = !digits.empty() && digits.back() < 0 ? -1 : 0;
    std::memcpy(&value, digits.data(), digits.size());
    push(value);
  }

  void push_decimal(const std::string& text) {
    if (text == "00" || text == "01") return push(text == "01");  // bools of protocol 0
    int64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc::result_out_of_range) return push_long(std::string(9, '\0'));
    check(error == std::errc() && (stop == end || std::string_view(stop, 1) == "L"),
          "expected an integer");
    push(value);
  }

  /// Text as Python 2 shows it: between quotes, with escapes.
  std::string unquoted(const std::string& text) const {
    return text.size() < 2 ? text : unescaped(text.substr(1, text.size() - 2), /*unicode=*/false);
  }

  /// Escapes undone. Unicode text has only \\u and \\U, and a byte is a character up to 255; it
  /// becomes UTF-8.
  std::string unescaped(const std::string& text, bool unicode) const {
    std::string plain;
    for (size_t i = 0; i < text.size();) {
      const char next = i + 1 < text.size() ? text[i + 1] : '\0';
      const int digits = unicode ? (next == 'u' ? 4 : next == 'U' ? 8 : 0) : (next == 'x' ? 2 : 0);
      if (text[i] == '\\' && digits > 0) {
        const auto code = hexadecimal(text, i + 2, digits);
        unicode ? append_utf8(code, plain) : plain.push_back(static_cast<char>(code));
        i += 2 + digits;
      } else if (text[i] == '\\' && !unicode && next != '\0') {
        constexpr std::string_view kLetters = "ntrabfv";
        constexpr std::string_view kMeant = "\n\t\r\a\b\f\v";
        const auto letter = kLetters.find(next);
        plain.push_back(letter == std::string_view::npos ? next : kMeant[letter]);
        i += 2;
      } else {
        unicode ? append_utf8(static_cast<uint8_t>(text[i]), plain) : plain.push_back(text[i]);
        ++i;
      }
    }
    return plain;
  }

  uint32_t hexadecimal(const std::string& text, size_t begin, int digits) const {
    uint32_t code = 0;
    const char* from = text.data() + std::min(begin, text.size());
    const char* to = text.data() + std::min(begin + digits, text.size());
    const auto [stop, error] = std::from_chars(from, to, code, 16);
    check(error == std::errc() && stop == from + digits, "expected ", digits,
          " hexadecimal digits of an escape");
    return code;
  }

  static void append_utf8(uint32_t code, std::string& to) {
    if (code < 0x80) return to.push_back(static_cast<char>(code));
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    constexpr std::array<int, 4> kLead{0, 0xc0, 0xe0, 0xf0};
    to.push_back(static_cast<char>(kLead[more] | (code >> (6 * more) & 0x3f)));
    for (int i = more - 1; i >= 0; --i) {
      to.push_back(static_cast<char>(0x80 | (code >> (6 * i) & 0x3f)));
    }
  }

  uint32_t read_index() {
    const auto text = read_line();
    uint32_t index = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    check(error == std::errc() && *stop == '\0', "expected an index of the memo");
    return index;
  }
};

}  // namespace

Pickle read_pickle(std::string_view bytes, const std::string& where) {
  return Machine(bytes, where).run();
}

}  // namespace ibot::io
