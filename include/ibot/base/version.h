// The version of the library.
#pragma once

namespace ibot {

inline constexpr const char* kVersion = "0.1.0";

/// The first digits of the commit that the program was built from; empty where its sources lay in
/// no checkout.
const char* commit();

}  // namespace ibot
