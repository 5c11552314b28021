#include "config/document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <sstream>

#include "ibot/base/error.h"

namespace ibot::config {
namespace {

// Length of the UTF-8 sequence at `at`; 0 if there is none. Overlong forms, surrogates and code
// points above U+10FFFF do not matter here: yaml-cpp replaces them.
size_t sequence_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(at);
  if (lead < 0x20 && lead != '\n' && lead != '\t' && lead != '\r') return 0;
  const size_t length = lead < 0x80             ? 1
                        : (lead & 0xE0) == 0xC0 ? 2
                        : (lead & 0xF0) == 0xE0 ? 3
                        : (lead & 0xF8) == 0xF0 ? 4
                                                : 0;
  if (at + length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return 0;
  }
  return length;
}

// Builds the tree from the parser's events: the node interface of yaml-cpp silently keeps duplicate
// keys and expands aliases without bound.
class Builder : public YAML::EventHandler {
 public:
  Node root() { return root_ ? std::move(*root_) : Node{}; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) fail(mark, "expected one document, got a second");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    attach(make(Node::Kind::kNull, mark, "", anchor));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    fail(mark, "aliases are not supported; write the value out");
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node = make(Node::Kind::kScalar, mark, tag, anchor);
    node.quoted = tag == "!";  // yaml-cpp's tag of quoted text
    node.text = value;
    attach(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(make(Node::Kind::kList, mark, tag, anchor));
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(make(Node::Kind::kMap, mark, tag, anchor));
  }
  void OnMapEnd() override { close(); }

 private:
  [[noreturn]] static void fail(const YAML::Mark& mark, const std::string& problem) {
    throw DocumentError(mark.line + 1, problem);
  }

  Node make(Node::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    if (anchor != 0) fail(mark, "anchors are not supported; write the value out");
    // yaml-cpp's tags of untagged nodes: "?" if plain, "!" if quoted.
    const bool implicit = tag.empty() || tag == "?" || tag == "!";
    if (!implicit) fail(mark, "tags are not supported, got " + tag);
    Node node;
    node.kind = kind;
    node.line = mark.line + 1;
    return node;
  }

  void open(Node node) {
    if (open_.size() == kMaxDepth) {
      throw DocumentError(node.line, concat("expected at most ", kMaxDepth, " levels of nesting"));
    }
    open_.push_back(std::move(node));
  }

  void close() {
    Node node = std::move(open_.back());
    open_.pop_back();
    attach(std::move(node));
  }

  void attach(Node node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Node& parent = open_.back();
    // Keys and values alternate: as many keys as values means that a key is next.
    if (parent.kind == Node::Kind::kMap && parent.keys.size() == parent.values.size()) {
      if (node.kind != Node::Kind::kScalar) {
        throw DocumentError(node.line, "expected a key, got " + describe(node));
      }
      parent.keys.push_back(std::move(node));
    } else {
      parent.values.push_back(std::move(node));
    }
  }

  int documents_ = 0;
  std::vector<Node> open_;
  std::optional<Node> root_;
};

}  // namespace

void check_text(std::string_view text) {
  int line = 1;
  for (size_t at = 0; at < text.size();) {
    const size_t length = sequence_length(text, at);
    if (length == 0) {
      throw DocumentError(
          line, concat("expected YAML in UTF-8, got byte ", static_cast<int>(uint8_t(text[at]))));
    }
    if (text[at] == '\n') ++line;
    at += length;
  }
}

Node parse_document(std::string_view text) {
  if (text.size() > kMaxBytes) {
    throw DocumentError(1, concat("expected at most 1 MB, got ", text.size(), " bytes"));
  }
  check_text(text);
  Builder builder;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    throw DocumentError(std::max(error.mark.line, 0) + 1, "expected YAML; " + error.msg);
  }
  return builder.root();
}

std::string shown(std::string text) {
  constexpr size_t kMost = 60;
  const bool is_long = text.size() > kMost;
  if (is_long) text.resize(kMost);
  // A truncated multi-byte character would make the message invalid UTF-8.
  while (is_long && !text.empty() && static_cast<uint8_t>(text.back()) >= 0x80) text.pop_back();
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x20; }, ' ');
  return is_long ? text + "..." : text;
}

std::string describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kScalar:
      return node.quoted || node.text.empty() ? concat('"', shown(node.text), '"')
                                              : shown(node.text);
    case Node::Kind::kList:
      return concat("a list of ", node.values.size());
    case Node::Kind::kMap:
      return concat("a mapping of ", node.values.size());
  }
  return {};
}

}  // namespace ibot::config
