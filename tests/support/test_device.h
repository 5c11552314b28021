// The device that tests of networks, losses and training run on.
#pragma once

#include <ATen/Context.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>

#include "ibot/batch/patch_pairs.h"
#include "support/expect_tensor.h"

namespace ibot::testing {

/// IBOT_DEVICE, such as cuda or cuda:1; else the CPU. On a GPU convolutions stay in float32, which
/// reference values are of.
inline torch::Device test_device() {
  static const torch::Device device = [] {
    const char* chosen = std::getenv("IBOT_DEVICE");
    at::globalContext().setAllowTF32CuDNN(false);
    return torch::Device(chosen != nullptr ? chosen : "cpu");
  }();
  return device;
}

/// The tolerance of a value that test_device() computed in float32: as stated on the CPU, which the
/// reference ran on; elsewhere products and sums have another order, and at least 1e-3 of a value
/// and 1e-4 are allowed.
inline Tolerance on_test_device(Tolerance stated) {
  if (test_device().is_cpu()) return stated;
  return {std::max(stated.rtol, 1e-3), std::max(stated.atol, 1e-4)};
}

inline std::map<std::string, torch::Tensor> on_test_device(
    std::map<std::string, torch::Tensor> tensors) {
  for (auto& [name, tensor] : tensors) tensor = tensor.to(test_device());
  return tensors;
}

inline batch::PatchPairs on_test_device(batch::PatchPairs pairs) {
  for (auto* tensor : {&pairs.student, &pairs.student_local, &pairs.teacher, &pairs.weight}) {
    if (tensor->defined()) *tensor = tensor->to(test_device());
  }
  return pairs;
}

}  // namespace ibot::testing
