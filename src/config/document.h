// A YAML document as a small tree that owns its text.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace ibot::config {

constexpr size_t kMaxBytes = 1 << 20;
constexpr size_t kMaxDepth = 8;

/// A value of the document with its line. Only the members of its kind are filled.
struct Node {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  int line = 0;
  bool quoted = false;
  std::string text;
  std::vector<Node> keys;    // of a map, each a scalar
  std::vector<Node> values;  // of a map or a list
};

/// An error in a document, with its line.
class DocumentError : public std::runtime_error {
 public:
  DocumentError(int line, const std::string& problem) : std::runtime_error(problem), line_(line) {}
  int line() const { return line_; }

 private:
  int line_;
};

/// Throws DocumentError unless the text is UTF-8 without control characters.
void check_text(std::string_view text);

/// Parses one document; a null node if there is none. Throws DocumentError.
Node parse_document(std::string_view text);

/// The text shortened for a message: one line of at most 60 bytes.
std::string shown(std::string text);

/// The value in a few words, for messages.
std::string describe(const Node& node);

}  // namespace ibot::config
