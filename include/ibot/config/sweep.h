// Several runs from one command line.
#pragma once

#include <string>
#include <vector>

namespace ibot::config {

/// One run of a sweep.
struct SweepRun {
  std::string name;  // folder name: "000-lr=0.001-shape=rand"; empty without a sweep
  std::vector<std::string> overrides;
};

/// All combinations of overrides whose value is a set in braces, `optim.lr={1e-3, 2e-3}`; the last
/// set varies fastest. Without a set, one run. Throws ConfigError for a set with an empty value and
/// for more than 1000 runs.
std::vector<SweepRun> expand_sweep(const std::vector<std::string>& overrides);

}  // namespace ibot::config
