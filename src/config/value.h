// Conversion of values between the document and the option structs.
#pragma once

#include <string>

#include "config/document.h"
#include "ibot/config/section.h"

namespace ibot::config {

/// Stores the node's value. Returns an empty string, or what was expected if the node does not fit.
std::string assign(const FieldSlot& slot, const Node& node);

/// The value as YAML on one line.
std::string write_value(const FieldSlot& slot);

/// The type in words: "a number", "block | rand".
std::string type_name(const FieldSlot& slot);

}  // namespace ibot::config
