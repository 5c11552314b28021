// Lower precision for matrix products, opened and closed with a scope.
#pragma once

#include <torch/types.h>

#include <optional>

namespace ibot::nn {

/// While it lives, matrix products on `device` run in `dtype`; without one, in the tensors' own.
class AutocastScope {
 public:
  AutocastScope(torch::DeviceType device, std::optional<torch::ScalarType> dtype);
  ~AutocastScope();
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  torch::DeviceType device_;
  bool was_enabled_;
  torch::ScalarType was_dtype_;
};

/// The `dtype` of the scope that this call is in; none outside.
std::optional<torch::ScalarType> autocast_in_force(torch::DeviceType device);

}  // namespace ibot::nn
