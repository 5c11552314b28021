// The content of a .pth file: Python's containers, numbers, strings and tensors.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace ibot::io {

struct List;
struct Dict;

/// A value of another kind, of which only the type's name is known: "pathlib.PosixPath".
struct Opaque {
  std::string type;
};

/// One value. Strings and containers are shared and immutable: copies are cheap, and a file that
/// refers to one list a million times takes the memory of one.
class Value {
 public:
  Value() = default;  // None
  Value(bool value) : content_(value) {}
  Value(int64_t value) : content_(value) {}
  Value(double value) : content_(value) {}
  Value(std::string text) : content_(std::make_shared<const std::string>(std::move(text))) {}
  Value(const char* text) : Value(std::string(text)) {}
  Value(torch::Tensor tensor) : content_(std::move(tensor)) {}
  Value(List list);
  Value(Dict dict);
  Value(Opaque opaque) : content_(std::make_shared<const Opaque>(std::move(opaque))) {}

  bool is_none() const { return content_.index() == 0; }
  /// Null if the value is of another kind.
  const std::string* text() const;
  const torch::Tensor* tensor() const;
  const List* list() const;
  const Dict* dict() const;
  const Opaque* opaque() const;
  std::optional<bool> boolean() const;
  std::optional<int64_t> integer() const;
  /// A double, or an integer converted to one.
  std::optional<double> number() const;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::shared_ptr<const std::string>,
               torch::Tensor, std::shared_ptr<const List>, std::shared_ptr<const Dict>,
               std::shared_ptr<const Opaque>>
      content_;
};

struct List {
  std::vector<Value> items;
  bool tuple = false;
};

/// Entries in file order; string and integer keys are unique. `type` is the class of an object that
/// is more than a dict: "argparse.Namespace", or "collections.OrderedDict" for every other one that
/// holds entries.
struct Dict {
  std::vector<std::pair<Value, Value>> items;
  std::string type;

  /// The value of a string key; null if absent.
  const Value* find(std::string_view key) const;
};

/// The kind of a value, for messages: "a dict", "an object of pathlib.PosixPath".
std::string kind_of(const Value& value);

}  // namespace ibot::io
