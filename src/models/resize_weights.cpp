#include "ibot/models/resize_weights.h"

#include "ibot/models/architecture.h"

namespace ibot::models {

torch::Tensor resize_weight(const std::string& name, const torch::Tensor& stored,
                            at::IntArrayRef wanted) {
  if (stored.sizes() == wanted) return stored;
  const auto* parameter = own_parameter(name);
  if (parameter == nullptr || parameter->resized == nullptr) return {};
  return parameter->resized(stored, wanted);
}

}  // namespace ibot::models
