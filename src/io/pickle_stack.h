// Stack, memo and input bytes of a pickle being read.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ibot/base/error.h"
#include "io/pickle.h"

namespace ibot::io {

/// Every access is checked and every size bounded; CheckpointError names the opcode's offset. The
/// limits keep memory proportional to the input, whatever an adversarial pickle repeats.
class PickleStack {
 public:
  PickleStack(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

 protected:
  template <class... Parts>
  void check(bool ok, const Parts&... parts) const {
    if (!ok) throw CheckpointError(concat(where_, ": byte ", opcode_at_, ": ", parts...));
  }

  uint8_t next_opcode() {
    check(position_ < kMaxBytes, "expected at most ", kMaxBytes, " bytes");
    opcode_at_ = position_;
    return read<uint8_t>();
  }

  Pickle finish() {
    check(stack_.size() == 1 && marks_.empty(), "expected one value at the end, got ",
          stack_.size());
    return {std::move(nodes_), stack_.back(), position_};
  }

  // Nodes and the stack.

  void push(PickleNode node) {
    check(nodes_.size() < kMaxNodes, "expected at most ", kMaxNodes, " values");
    nodes_.push_back(std::move(node));
    push_known(static_cast<NodeId>(nodes_.size() - 1));
  }

  void push_known(NodeId id) {
    check(stack_.size() < kMaxStack, "expected at most ", kMaxStack, " values on the stack");
    stack_.push_back(id);
  }

  void mark() {
    check(marks_.size() < kMaxStack, "expected at most ", kMaxStack, " marks");
    marks_.push_back(stack_.size());
  }

  void remember(uint32_t index) { memo_[index] = top(); }
  void remember_next() { remember(static_cast<uint32_t>(memo_.size())); }

  void recall(uint32_t index) {
    const auto found = memo_.find(index);
    check(found != memo_.end(), "expected value ", index, " of the memo, found none");
    push_known(found->second);
  }

  // Values below the last mark belong to an unfinished container and cannot be taken.
  NodeId top() const {
    check(stack_.size() > base(), "expected a value on the stack");
    return stack_.back();
  }

  NodeId pop() {
    const NodeId id = top();
    stack_.pop_back();
    return id;
  }

  /// Values below the innermost mark are out of reach until it is popped.
  size_t base() const { return marks_.empty() ? 0 : marks_.back(); }

  std::vector<NodeId> pop_many(size_t count) {
    check(stack_.size() - base() >= count, "expected ", count, " values on the stack");
    std::vector<NodeId> items(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }

  std::vector<NodeId> pop_to_mark() {
    check(!marks_.empty(), "expected a mark");
    auto items = pop_many(stack_.size() - base());
    marks_.pop_back();
    return items;
  }

  template <class T>
  bool holds(NodeId id) const {
    return std::holds_alternative<T>(nodes_[id]);
  }

  template <class T>
  const T& get(NodeId id, const char* what) const {
    const auto* value = std::get_if<T>(&nodes_[id]);
    check(value != nullptr, "expected ", what);
    return *value;
  }

  const std::string& small_text(NodeId id, const char* what) const {
    const auto& text = get<std::string>(id, what);
    check(text.size() <= kMaxName, "expected ", what, " of at most ", kMaxName, " bytes, got ",
          text.size());
    return text;
  }

  /// Charges bytes derived from others in the pickle: their total stays below the size of the
  /// input.
  void room_of(size_t bytes) {
    made_ += bytes;
    check(made_ <= bytes_.size(), "expected texts to be encoded once");
  }

  // `more` by value: a dict may be its own attributes, and insert() would invalidate it.
  void append_items(std::vector<NodeId>& items, std::vector<NodeId> more) {
    room_ += more.size();
    check(room_ < kMaxNodes, "expected at most ", kMaxNodes, " entries");
    items.insert(items.end(), more.begin(), more.end());
  }

  // Bytes.

  template <class T>
  T read() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  // The position never exceeds the size, so the difference cannot wrap around.
  std::string_view take(uint64_t size) {
    check(size <= bytes_.size() - position_, "expected ", size, " bytes, got the end at byte ",
          bytes_.size());
    const auto taken = bytes_.substr(position_, size);
    position_ += size;
    return taken;
  }

  std::string read_line(size_t most = kMaxName) {
    const auto rest = bytes_.substr(position_, most);
    const auto size = rest.find('\n');
    check(size != std::string_view::npos, "expected a name of at most ", most, " bytes");
    return std::string(take(size + 1).substr(0, size));
  }

  std::vector<PickleNode> nodes_;

 private:
  static constexpr size_t kMaxBytes = size_t{1} << 26;
  static constexpr size_t kMaxNodes = size_t{1} << 18;
  static constexpr size_t kMaxStack = size_t{1} << 16;
  static constexpr size_t kMaxName = 256;

  std::string_view bytes_;
  const std::string& where_;
  size_t position_ = 0;
  size_t opcode_at_ = 0;
  size_t room_ = 0;  // entries of all containers
  size_t made_ = 0;  // bytes charged by room_of
  std::vector<NodeId> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, NodeId> memo_;
};

}  // namespace ibot::io
