#include "ibot/metrics/cluster_metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "ibot/base/error.h"

namespace ibot::metrics {

namespace {

/// A label and a cluster share the 64 bits of a key.
constexpr int64_t kMaxId = std::numeric_limits<uint32_t>::max();

using Counts = std::unordered_map<uint64_t, int64_t>;

torch::Tensor host_ids(const torch::Tensor& ids, const char* name) {
  IBOT_CHECK(ids.dim() == 1 && ids.scalar_type() == torch::kLong, "cluster metrics: expected ",
             name, " int64 of shape [B], got ", ids.scalar_type(), " of shape ", ids.sizes());
  return ids.to(torch::kCPU).contiguous();
}

// Sorted, so that sums over them do not depend on the iteration order of the hash table.
std::vector<double> sorted_counts(const Counts& counts) {
  std::vector<double> values;
  for (const auto& [key, count] : counts) values.push_back(static_cast<double>(count));
  std::sort(values.begin(), values.end());
  return values;
}

double sum_of_squares(const std::vector<double>& counts) {
  double sum = 0;
  for (const double count : counts) sum += count * count;
  return sum;
}

/// Entropy in nats of a partition of n things.
double entropy(const std::vector<double>& counts, double n) {
  double sum = 0;
  for (const double count : counts) sum -= count / n * std::log(count / n);
  return sum;
}

double normalized_information(double label_entropy, double cluster_entropy, double joint_entropy) {
  // Two partitions without any information agree, by convention.
  if (label_entropy == 0 && cluster_entropy == 0) return 1;
  // I = H(labels) + H(clusters) - H(pairs); normalized by the arithmetic mean, as in scikit-learn.
  const double information = label_entropy + cluster_entropy - joint_entropy;
  // The difference of entropies of independent partitions can be a rounding error below zero.
  if (information <= std::numeric_limits<double>::epsilon()) return 0;
  return information / ((label_entropy + cluster_entropy) / 2);
}

/// From the sums of squared counts: a sum of n choose 2 is half of "squares - n".
double adjusted_rand(double pairs, double labels, double clusters, double n) {
  if (pairs == labels && pairs == clusters) return 1;
  // ARI = (S - E) / ((S_a + S_b) / 2 - E), E = S_a S_b / C(n, 2); here all of it twice.
  const double expected = (labels - n) * (clusters - n) / (n * (n - 1));
  return (pairs - n - expected) / ((labels + clusters) / 2 - n - expected);
}

double fowlkes_mallows(double pairs, double labels, double clusters, double n) {
  // √(T / P) √(T / Q), with T, P and Q the squares less n. Without a pair in common: 0, not 0 / 0.
  if (pairs == n) return 0;
  return std::sqrt((pairs - n) / (clusters - n)) * std::sqrt((pairs - n) / (labels - n));
}

}  // namespace

void ClusterTable::add(const torch::Tensor& label, const torch::Tensor& cluster) {
  const auto labels = host_ids(label, "label");
  const auto clusters = host_ids(cluster, "cluster");
  IBOT_CHECK(labels.size(0) == clusters.size(0),
             "cluster metrics: expected one cluster a label, got ", clusters.size(0), " for ",
             labels.size(0));
  const auto* label_ids = labels.const_data_ptr<int64_t>();
  const auto* cluster_ids = clusters.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < labels.size(0); ++i) {
    IBOT_CHECK(std::min(label_ids[i], cluster_ids[i]) >= 0 &&
                   std::max(label_ids[i], cluster_ids[i]) <= kMaxId,
               "cluster metrics: expected ids from 0 to ", kMaxId, ", got label ", label_ids[i],
               " and cluster ", cluster_ids[i]);
    add_pair(static_cast<uint64_t>(label_ids[i]), static_cast<uint64_t>(cluster_ids[i]), 1);
  }
}

void ClusterTable::add_pair(uint64_t label, uint64_t cluster, int64_t count) {
  pairs_[label << 32 | cluster] += count;
  labels_[label] += count;
  clusters_[cluster] += count;
  total_ += count;
}

torch::Tensor ClusterTable::counts() const {
  // Ascending order makes the rows of equal tables equal, whatever the order of add().
  const std::map<uint64_t, int64_t> sorted(pairs_.begin(), pairs_.end());
  const auto rows = torch::empty({static_cast<int64_t>(sorted.size()), 3}, torch::kLong);  // [P, 3]
  auto* out = rows.data_ptr<int64_t>();
  for (const auto& [pair, count] : sorted) {
    *out++ = static_cast<int64_t>(pair >> 32);
    *out++ = static_cast<int64_t>(pair & kMaxId);
    *out++ = count;
  }
  return rows;
}

void ClusterTable::add_counts(const torch::Tensor& counts) {
  const auto rows = counts.contiguous();
  const auto* row = rows.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < rows.size(0); ++i, row += 3) {
    add_pair(static_cast<uint64_t>(row[0]), static_cast<uint64_t>(row[1]), row[2]);
  }
}

ClusterMetrics ClusterTable::metrics() const {
  if (total_ == 0) return {};
  const auto n = static_cast<double>(total_);
  const auto pairs = sorted_counts(pairs_);
  const auto labels = sorted_counts(labels_);
  const auto clusters = sorted_counts(clusters_);
  const double pair_squares = sum_of_squares(pairs);
  const double label_squares = sum_of_squares(labels);
  const double cluster_squares = sum_of_squares(clusters);
  return {normalized_information(entropy(labels, n), entropy(clusters, n), entropy(pairs, n)),
          adjusted_rand(pair_squares, label_squares, cluster_squares, n),
          fowlkes_mallows(pair_squares, label_squares, cluster_squares, n)};
}

void ClusterTable::clear() { *this = {}; }

}  // namespace ibot::metrics
