#include "ibot/nn/autocast_scope.h"

#include <ATen/autocast_mode.h>

namespace ibot::nn {

AutocastScope::AutocastScope(torch::DeviceType device, std::optional<torch::ScalarType> dtype)
    : device_(device),
      was_enabled_(at::autocast::is_autocast_enabled(device)),
      was_dtype_(at::autocast::get_autocast_dtype(device)) {
  at::autocast::increment_nesting();
  at::autocast::set_autocast_enabled(device, dtype.has_value());
  // Without a type autocast is off in this scope, whatever is in force around it.
  if (dtype) at::autocast::set_autocast_dtype(device, *dtype);
}

AutocastScope::~AutocastScope() {
  // The outermost scope drops the cast weights, which the next step's update makes stale.
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, was_enabled_);
  at::autocast::set_autocast_dtype(device_, was_dtype_);
}

std::optional<torch::ScalarType> autocast_in_force(torch::DeviceType device) {
  if (!at::autocast::is_autocast_enabled(device)) return std::nullopt;
  return at::autocast::get_autocast_dtype(device);
}

}  // namespace ibot::nn
