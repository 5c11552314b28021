// Tensors that take over a container's memory.
#pragma once

#include <torch/types.h>

#include <memory>
#include <utility>

namespace ibot::data {

/// The elements of a vector or string, moved, as a tensor of `type`, whose elements are as large.
template <class Container>
torch::Tensor tensor_of(Container&& elements, torch::ScalarType type) {
  auto kept = std::make_shared<Container>(std::move(elements));
  return torch::from_blob(
      kept->data(), {static_cast<int64_t>(kept->size())}, [kept](void*) {},
      torch::TensorOptions(type));
}

}  // namespace ibot::data
