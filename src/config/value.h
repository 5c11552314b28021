// Values of keys, between the document and the structs.
#pragma once

#include <string>

#include "config/document.h"
#include "ibot/config/section.h"

namespace ibot::config {

/// Stores the node's value; otherwise says what was expected and returns it, for a message. An
/// empty string means success.
std::string assign(const FieldSlot& slot, const Node& node);

/// The value as YAML on one line.
std::string write_value(const FieldSlot& slot);

/// The type in words: "a number", "block | rand".
std::string type_name(const FieldSlot& slot);

}  // namespace ibot::config
