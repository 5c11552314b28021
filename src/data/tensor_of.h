// Tensors that own a container's memory.
#pragma once

#include <torch/types.h>

#include <memory>
#include <utility>

namespace ibot::data {

/// Moves a vector or string into a tensor; the element size of `type` must equal the container's.
template <class Container>
torch::Tensor tensor_of(Container&& elements, torch::ScalarType type) {
  auto kept = std::make_shared<Container>(std::move(elements));
  // The deleter holds the container, and with it the memory.
  return torch::from_blob(
      kept->data(), {static_cast<int64_t>(kept->size())}, [kept](void*) {},
      torch::TensorOptions(type));
}

}  // namespace ibot::data
