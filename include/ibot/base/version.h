// The version of the library.
#pragma once

namespace ibot {

inline constexpr const char* kVersion = "0.1.0";

/// Abbreviated hash of the commit the program was built from; empty outside a git checkout.
const char* commit();

}  // namespace ibot
