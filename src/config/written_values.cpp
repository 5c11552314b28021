#include "ibot/config/written_values.h"

#include "config/document.h"
#include "ibot/base/error.h"

namespace ibot::config {
namespace {

std::string plain_text(const Node& node) {
  if (node.kind == Node::Kind::kScalar) return node.text;
  if (node.kind == Node::Kind::kNull) return "";
  std::string list;
  for (const auto& value : node.values) list += (list.empty() ? "" : ", ") + plain_text(value);
  return "[" + list + "]";
}

void collect(const Node& map, const std::string& prefix,
             std::map<std::string, std::string>& values) {
  for (size_t i = 0; i < map.keys.size(); ++i) {
    const auto name = prefix + map.keys[i].text;
    if (map.values[i].kind == Node::Kind::kMap) {
      collect(map.values[i], name + ".", values);
    } else {
      values[name] = plain_text(map.values[i]);
    }
  }
}

}  // namespace

std::map<std::string, std::string> written_values(std::string_view text, const std::string& name) {
  std::map<std::string, std::string> values;
  try {
    const auto root = parse_document(text);
    if (root.kind != Node::Kind::kMap && root.kind != Node::Kind::kNull) {
      throw DocumentError(root.line, "expected sections, got " + describe(root));
    }
    collect(root, "", values);
  } catch (const DocumentError& error) {
    throw ConfigError(concat(name, ":", error.line(), ": ", error.what()));
  }
  return values;
}

}  // namespace ibot::config
