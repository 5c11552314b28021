#include "ibot/optim/autocast.h"

namespace ibot::optim {

std::optional<torch::ScalarType> autocast_dtype(Precision precision) {
  switch (precision) {
    case Precision::kFp16:
      return torch::kHalf;
    case Precision::kBf16:
      return torch::kBFloat16;
    default:
      return std::nullopt;
  }
}

}  // namespace ibot::optim
