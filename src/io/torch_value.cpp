#include "ibot/io/torch_value.h"

namespace ibot::io {

Value::Value(List list) : content_(std::make_shared<const List>(std::move(list))) {}
Value::Value(Dict dict) : content_(std::make_shared<const Dict>(std::move(dict))) {}

const std::string* Value::text() const {
  const auto* held = std::get_if<std::shared_ptr<const std::string>>(&content_);
  return held == nullptr ? nullptr : held->get();
}

const torch::Tensor* Value::tensor() const { return std::get_if<torch::Tensor>(&content_); }

const List* Value::list() const {
  const auto* held = std::get_if<std::shared_ptr<const List>>(&content_);
  return held == nullptr ? nullptr : held->get();
}

const Dict* Value::dict() const {
  const auto* held = std::get_if<std::shared_ptr<const Dict>>(&content_);
  return held == nullptr ? nullptr : held->get();
}

const Opaque* Value::opaque() const {
  const auto* held = std::get_if<std::shared_ptr<const Opaque>>(&content_);
  return held == nullptr ? nullptr : held->get();
}

std::optional<bool> Value::boolean() const {
  const auto* held = std::get_if<bool>(&content_);
  return held == nullptr ? std::nullopt : std::optional(*held);
}

std::optional<int64_t> Value::integer() const {
  const auto* held = std::get_if<int64_t>(&content_);
  return held == nullptr ? std::nullopt : std::optional(*held);
}

std::optional<double> Value::number() const {
  if (const auto whole = integer()) return static_cast<double>(*whole);
  const auto* held = std::get_if<double>(&content_);
  return held == nullptr ? std::nullopt : std::optional(*held);
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : items) {
    if (name.text() != nullptr && *name.text() == key) return &value;
  }
  return nullptr;
}

std::string kind_of(const Value& value) {
  if (value.opaque() != nullptr) return "an object of " + value.opaque()->type;
  if (value.tensor() != nullptr) return "a tensor";
  if (value.dict() != nullptr) return "a dict";
  if (value.list() != nullptr) return "a list";
  if (value.text() != nullptr) return "text";
  return value.is_none() ? "None" : value.boolean() ? "a bool" : "a number";
}

}  // namespace ibot::io
