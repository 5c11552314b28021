// What a .pth file holds: Python's containers, numbers, text and tensors.
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

/// A value of another kind, of which only what it is called is known: "pathlib.PosixPath".
struct Opaque {
  std::string type;
};

/// One value. Text and containers are shared and constant, so that copies cost nothing and a file
/// that names one list a million times takes the room of one.
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
  /// Null where the value is of another kind.
  const std::string* text() const;
  const torch::Tensor* tensor() const;
  const List* list() const;
  const Dict* dict() const;
  const Opaque* opaque() const;
  std::optional<bool> boolean() const;
  std::optional<int64_t> integer() const;
  /// Of an integer too.
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

/// Entries in the file's order; keys of text or integers differ from each other. `type` is the
/// class of an object that is more than a dict: "argparse.Namespace", or "collections.OrderedDict"
/// for every other one that holds entries.
struct Dict {
  std::vector<std::pair<Value, Value>> items;
  std::string type;

  /// The value of a text key; null where there is none.
  const Value* find(std::string_view key) const;
};

/// What a value is, for messages: "a dict", "an object of pathlib.PosixPath".
std::string kind_of(const Value& value);

}  // namespace ibot::io
