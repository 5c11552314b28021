// Names in the order that people expect.
#pragma once

#include <string>

namespace ibot {

/// Whether `a` comes before `b`, numbers within names compared as numbers: top1_k20 before
/// top1_k100.
bool natural_less(const std::string& a, const std::string& b);

/// Of a map or a set of names.
struct NaturalOrder {
  bool operator()(const std::string& a, const std::string& b) const { return natural_less(a, b); }
};

}  // namespace ibot
