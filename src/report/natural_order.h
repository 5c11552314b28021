// Names in the order that people expect.
#pragma once

#include <string>

namespace ibot::report {

/// Whether `a` comes before `b`, numbers within names compared as numbers: top1_k20 before
/// top1_k100.
bool natural_less(const std::string& a, const std::string& b);

}  // namespace ibot::report
