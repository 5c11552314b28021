// Lower precision for matrix products, opened and closed with a scope.
#pragma once

#include <torch/types.h>

#include <optional>

#include "ibot/optim/precision_options.h"

namespace ibot::optim {

/// The type of matrix products in this precision; none for float32.
std::optional<torch::ScalarType> autocast_dtype(Precision precision);

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

}  // namespace ibot::optim
