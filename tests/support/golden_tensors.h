// Tensors of a case, none of which may be left out.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/golden.h"

namespace ibot::testing {

/// Notes which tensors are taken or compared.
class GoldenTensors {
 public:
  GoldenTensors(std::map<std::string, torch::Tensor> tensors, Tolerance tolerance)
      : tensors_(std::move(tensors)), tolerance_(tolerance) {}

  bool has(const std::string& name) const { return tensors_.count(name) > 0; }
  const torch::Tensor& at(const std::string& name) const {
    used_.insert(name);
    return tensors_.at(name);
  }
  void compare(const torch::Tensor& actual, const std::string& name) const {
    EXPECT_TRUE(near(actual, at(name), tolerance_)) << name;
  }

  Tolerance tolerance() const { return tolerance_; }

  /// What follows `prefix` in the names that begin with it.
  std::vector<std::string> endings(const std::string& prefix) const {
    std::vector<std::string> endings;
    for (const auto& [name, tensor] : tensors_) {
      if (name.rfind(prefix, 0) == 0) endings.push_back(name.substr(prefix.size()));
    }
    return endings;
  }
  /// The K of all names PREFIX{K}_{i}.
  std::set<int64_t> counts(const std::string& prefix) const {
    std::set<int64_t> counts;
    for (const auto& ending : endings(prefix)) counts.insert(std::stoll(ending));
    return counts;
  }

  void expect_all_used() const {
    for (const auto& [name, tensor] : tensors_) {
      EXPECT_TRUE(used_.count(name) > 0) << name << " was not compared";
    }
  }

 private:
  std::map<std::string, torch::Tensor> tensors_;
  Tolerance tolerance_;
  mutable std::set<std::string> used_;
};

}  // namespace ibot::testing
