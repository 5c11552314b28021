#include "ibot/eval/whitening.h"

#include <ATen/ops/linalg_eigh.h>

#include "ibot/eval/features.h"

namespace ibot::eval {

torch::Tensor Whitening::apply(const torch::Tensor& features) const {
  const auto centered = features.to(torch::kDouble) - mean;
  return centered.mm(projection.t()).to(features.scalar_type());
}

Whitening whitening_of(const torch::Tensor& features) {
  check_finite(features, "whitening", "features");
  const auto rows = features.to(torch::kDouble);
  // Moments about 0, not about the mean, although apply() subtracts it: as in the reference.
  const auto moments = rows.t().mm(rows) / rows.size(0);  // [F, F]
  const auto [ascending, vectors] = at::linalg_eigh(moments);
  // Descending; the floor keeps directions without variance from being blown up.
  const auto eigenvalues = ascending.flip({0}).clamp_min(ascending.max() * 1e-5);
  const auto projection = eigenvalues.rsqrt().unsqueeze(1) * vectors.flip({1}).t();
  return {rows.mean(0), eigenvalues, projection};
}

}  // namespace ibot::eval
