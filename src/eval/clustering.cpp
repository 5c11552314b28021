#include "ibot/eval/clustering.h"

#include <torch/utils.h>

#include <cmath>
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

/// Calls visit(first row, distances [R, K], squared) for a block of rows after the other.
template <class Visit>
void visit_distances(const torch::Tensor& features, const torch::Tensor& centers, Visit&& visit) {
  const int64_t rows = std::max<int64_t>(kDistances / centers.size(0), 1);
  const auto squared = centers.square().sum(1);
  for (int64_t start = 0; start < features.size(0); start += rows) {
    const auto x = features.slice(0, start, start + rows);
    // ‖x - c‖² = ‖c‖² - 2 x·c + ‖x‖²; rounding can make it negative.
    const auto distances = squared - 2 * x.mm(centers.t()) + x.square().sum(1, /*keepdim=*/true);
    visit(start, distances.clamp_min_(0));
  }
}

Nearest nearest_centers(const torch::Tensor& features, const torch::Tensor& centers) {
  std::vector<torch::Tensor> clusters;
  std::vector<torch::Tensor> distances;
  visit_distances(features, centers, [&](int64_t, const torch::Tensor& block) {
    const auto [best, cluster] = block.min(1);
    clusters.push_back(cluster);
    distances.push_back(best);
  });
  return {torch::cat(clusters), torch::cat(distances)};
}

/// Rows drawn with probability proportional to `distance`, [S] float64.
std::vector<int64_t> draw_rows(const torch::Tensor& distance, int64_t count, Rng& rng) {
  const auto sums = distance.cumsum(0);
  const double total = sums[-1].item<double>();
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < count; ++i) {
    const double target = rng.uniform() * total;
    // A row whose distance is 0 adds nothing to the sums and is passed over.
    const auto at = torch::searchsorted(sums, target, false, /*right=*/true).item<int64_t>();
    rows.push_back(std::min(at, distance.size(0) - 1));
  }
  return rows;
}

/// Greedy k-means++: of a few rows drawn with probability proportional to their squared distance
/// from the centers so far, the one that leaves the smallest sum of distances is the next center.
torch::Tensor first_centers(const torch::Tensor& features, int64_t count, Rng& rng) {
  // As in scikit-learn.
  const auto candidates = 2 + static_cast<int64_t>(std::log(static_cast<double>(count)));
  const auto to_row = [&](int64_t row) {
    return (features - features[row]).square().sum(1).to(torch::kDouble);
  };
  std::vector<int64_t> chosen{static_cast<int64_t>(rng.index(features.size(0)))};
  auto distance = to_row(chosen.back());
  while (static_cast<int64_t>(chosen.size()) < count) {
    double smallest = std::numeric_limits<double>::infinity();
    torch::Tensor nearer;
    chosen.push_back(0);
    for (const int64_t row : draw_rows(distance, candidates, rng)) {
      const auto left = torch::minimum(distance, to_row(row));
      const double sum = left.sum().item<double>();
      if (sum >= smallest) continue;
      smallest = sum;
      nearer = left;
      chosen.back() = row;
    }
    distance = nearer;
  }
  return features.index_select(0, torch::tensor(chosen, torch::kLong).to(features.device()));
}

torch::Tensor mean_rows(const torch::Tensor& features, const Nearest& nearest, int64_t count) {
  auto sums = torch::zeros({count, features.size(1)}, features.options());
  sums.index_add_(0, nearest.cluster, features);
  const auto sizes = nearest.cluster.bincount({}, count);
  auto centers = sums / sizes.clamp_min(1).unsqueeze(1);
  const auto empty = sizes.eq(0).nonzero().flatten();
  if (empty.numel() > 0) {
    // An empty cluster starts anew at a row that fits its own worst.
    const auto farthest = std::get<1>(nearest.distance.topk(empty.numel()));
    centers.index_copy_(0, empty, features.index_select(0, farthest));
  }
  return centers;
}

/// Clusters with their means, to which no other mean is nearer; or where passes ran out.
struct Partition {
  torch::Tensor centers;
  Nearest nearest;
  double inertia = 0;
};

/// Lloyd's steps from `nearest` on, until no row moves or `passes`, which they use up, are over.
Partition settled(const torch::Tensor& features, Nearest nearest, int64_t count, int64_t& passes) {
  Partition partition;
  for (bool moves = true; moves && passes > 0; --passes) {
    partition.centers = mean_rows(features, nearest, count);
    auto next = nearest_centers(features, partition.centers);
    moves = !next.cluster.equal(nearest.cluster);
    nearest = std::move(next);
  }
  partition.inertia = nearest.distance.sum(torch::kDouble).item<double>();
  partition.nearest = std::move(nearest);
  return partition;
}

/// Where each row would lower the inertia most by moving alone, which counts that means follow: a
/// cluster of n rows loses d² n / (n - 1) with a row and wins d² n / (n + 1).
Nearest single_moves(const torch::Tensor& features, const Partition& partition) {
  const auto& [own, distance] = partition.nearest;
  const auto sizes = own.bincount({}, partition.centers.size(0)).to(features.dtype());
  const auto gain = sizes / (sizes + 1);
  // A row that is a cluster of its own stays.
  const auto loss = torch::where(sizes > 1, sizes / (sizes - 1).clamp_min(1), 0.0);
  std::vector<torch::Tensor> clusters;
  visit_distances(features, partition.centers, [&](int64_t start, const torch::Tensor& block) {
    const auto at = own.slice(0, start, start + block.size(0)).unsqueeze(1);
    const auto leaving = block.gather(1, at) * loss.index_select(0, at.squeeze(1)).unsqueeze(1);
    clusters.push_back((block * gain).scatter(1, at, leaving).argmin(1));
  });
  return {torch::cat(clusters), distance};
}

Kmeans one_run(const torch::Tensor& features, const KmeansOptions& options, Rng rng) {
  // What is won must be more than the rounding of a sum of float32 distances.
  constexpr double kRounding = 1e-6;
  const auto centers = first_centers(features, options.clusters, rng);
  int64_t passes = options.iterations;
  auto best = settled(features, nearest_centers(features, centers), options.clusters, passes);
  while (passes > 0) {
    auto next = settled(features, single_moves(features, best), options.clusters, passes);
    if (next.inertia >= best.inertia * (1 - kRounding)) break;
    best = std::move(next);
  }
  return {best.nearest.cluster, best.inertia};
}

}  // namespace

Kmeans kmeans(const torch::Tensor& features, const KmeansOptions& options) {
  IBOT_CHECK(features.size(0) >= options.clusters, "k-means: expected at least ", options.clusters,
             " images, one a cluster, got ", features.size(0));
  check_finite(features, "k-means", "features");
  const torch::NoGradGuard no_grad;
  Kmeans best{{}, std::numeric_limits<double>::infinity()};
  for (int64_t run = 0; run < options.restarts; ++run) {
    // A stream for each restart: more of them leave the first ones as they were.
    const Rng rng(static_cast<uint64_t>(options.seed), static_cast<uint64_t>(run), 0, kDevice);
    auto found = one_run(features, options, rng);
    if (found.inertia < best.inertia) best = std::move(found);
  }
  return best;
}

std::map<std::string, double> cluster_metrics(const torch::Tensor& labels,
                                              const torch::Tensor& clusters) {
  metrics::ClusterTable table;
  table.add(labels, clusters);
  const auto agreement = table.metrics();
  // By the best one-to-one assignment of clusters to labels.
  const double matched = static_cast<double>(metrics::matched_images(table.counts()));
  return {{"acc", 100 * matched / static_cast<double>(labels.numel())},
          {"nmi", 100 * agreement.nmi},
          {"ari", 100 * agreement.ari},
          {"fmi", 100 * agreement.fmi}};
}

}  // namespace ibot::eval
