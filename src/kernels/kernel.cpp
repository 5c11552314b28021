#include "ibot/kernels/kernel.h"

namespace ibot::kernels {
namespace {

// Per thread: a comparison on one does not slow the others down.
thread_local bool fallbacks_only = false;

}  // namespace

bool Choice::runs_own(torch::DeviceType device) const {
  return !fallbacks_only && has_own(device) && !off_[static_cast<size_t>(device)];
}

void Choice::use_fallback(torch::DeviceType device) { off_[static_cast<size_t>(device)] = true; }

FallbacksOnly::FallbacksOnly() : was_(fallbacks_only) { fallbacks_only = true; }

FallbacksOnly::~FallbacksOnly() { fallbacks_only = was_; }

}  // namespace ibot::kernels
