#include "ibot/eval/clustering.h"

#include <torch/utils.h>

#include <limits>

#include "ibot/base/rng.h"
#include "ibot/eval/features.h"
#include "ibot/metrics/assignment.h"
#include "ibot/metrics/cluster_metrics.h"

namespace ibot::eval {
namespace {

// Distances at a time: 64 MB.
constexpr int64_t kDistances = int64_t{1} << 24;

struct Nearest {
  torch::Tensor cluster;   // [S]
  torch::Tensor distance;  // [S], squared
};

Nearest nearest_centres(const torch::Tensor& features, const torch::Tensor& centres) {
  const int64_t rows = std::max<int64_t>(kDistances / centres.size(0), 1);
  const auto squared = centres.square().sum(1);
  std::vector<torch::Tensor> clusters;
  std::vector<torch::Tensor> distances;
  for (int64_t start = 0; start < features.size(0); start += rows) {
    const auto x = features.slice(0, start, start + rows);
    // Without |x|², which is the same for every centre.
    const auto [best, cluster] = (squared - 2 * x.mm(centres.t())).min(1);
    clusters.push_back(cluster);
    distances.push_back((best + x.square().sum(1)).clamp_min(0));
  }
  return {torch::cat(clusters), torch::cat(distances)};
}

/// k-means++: each next centre is a row drawn with probability proportional to its squared distance
/// from the centres so far.
torch::Tensor first_centres(const torch::Tensor& features, int64_t count, Rng& rng) {
  std::vector<int64_t> chosen{static_cast<int64_t>(rng.index(features.size(0)))};
  auto distance = torch::full({features.size(0)}, std::numeric_limits<double>::infinity(),
                              features.options().dtype(torch::kDouble));
  while (true) {
    const auto centre = features[chosen.back()];
    distance = torch::minimum(distance, (features - centre).square().sum(1).to(torch::kDouble));
    if (static_cast<int64_t>(chosen.size()) == count) break;
    const auto sums = distance.cumsum(0);
    const double target = rng.uniform() * sums[-1].item<double>();
    const auto at = torch::searchsorted(sums, target, false, /*right=*/true).item<int64_t>();
    chosen.push_back(std::min(at, features.size(0) - 1));
  }
  return features.index_select(0, torch::tensor(chosen, torch::kLong).to(features.device()));
}

torch::Tensor mean_rows(const torch::Tensor& features, const Nearest& nearest, int64_t count) {
  auto sums = torch::zeros({count, features.size(1)}, features.options());
  sums.index_add_(0, nearest.cluster, features);
  const auto sizes = nearest.cluster.bincount({}, count);
  auto centres = sums / sizes.clamp_min(1).unsqueeze(1);
  const auto empty = sizes.eq(0).nonzero().flatten();
  if (empty.numel() > 0) {
    const auto farthest = std::get<1>(nearest.distance.topk(empty.numel()));
    centres.index_copy_(0, empty, features.index_select(0, farthest));
  }
  return centres;
}

Kmeans one_run(const torch::Tensor& features, int64_t count, int64_t iterations, Rng rng) {
  auto centres = first_centres(features, count, rng);
  auto nearest = nearest_centres(features, centres);
  for (int64_t i = 0; i < iterations; ++i) {
    centres = mean_rows(features, nearest, count);
    auto next = nearest_centres(features, centres);
    const bool settled = next.cluster.equal(nearest.cluster);
    nearest = std::move(next);
    if (settled) break;
  }
  return {nearest.cluster, nearest.distance.sum(torch::kDouble).item<double>()};
}

}  // namespace

Kmeans kmeans(const torch::Tensor& features, const KmeansOptions& options) {
  IBOT_CHECK(features.size(0) >= options.clusters, "k-means: expected at least ", options.clusters,
             " images, one a cluster, got ", features.size(0));
  check_finite(features, "k-means", "features");
  const torch::NoGradGuard no_grad;
  Kmeans best{{}, std::numeric_limits<double>::infinity()};
  for (int64_t run = 0; run < options.restarts; ++run) {
    const Rng rng(static_cast<uint64_t>(options.seed), static_cast<uint64_t>(run), 0, kDevice);
    auto found = one_run(features, options.clusters, options.iterations, rng);
    if (found.inertia < best.inertia) best = std::move(found);
  }
  return best;
}

std::map<std::string, double> cluster_metrics(const torch::Tensor& labels,
                                              const torch::Tensor& clusters) {
  metrics::ClusterTable table;
  table.add(labels, clusters);
  const auto agreement = table.metrics();
  const double matched = static_cast<double>(metrics::matched_images(table.counts()));
  return {{"acc", 100 * matched / static_cast<double>(labels.numel())},
          {"nmi", 100 * agreement.nmi},
          {"ari", 100 * agreement.ari},
          {"fmi", 100 * agreement.fmi}};
}

}  // namespace ibot::eval
