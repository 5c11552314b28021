#include "ibot/metrics/cluster_metrics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ibot/base/error.h"
#include "support/golden.h"

namespace ibot::metrics {
namespace {

ClusterMetrics metrics_of(const std::vector<int64_t>& labels,
                          const std::vector<int64_t>& clusters) {
  ClusterTable table;
  table.add(torch::tensor(labels, torch::kLong), torch::tensor(clusters, torch::kLong));
  return table.metrics();
}

// Labels 0 0 1 1 against clusters 0 0 1 2. Of 6 pairs, 2 share a label, 1 a cluster, 1 both.
TEST(ClusterMetrics, MatchACaseWorkedByHand) {
  const auto metrics = metrics_of({0, 0, 1, 1}, {0, 0, 1, 2});
  // H(label) = ln 2, H(cluster) = 1.5 ln 2, joint 1.5 ln 2, so I = ln 2.
  EXPECT_NEAR(metrics.nmi, 1 / 1.25, 1e-12);
  const double expected = 2.0 * 1.0 / 6.0;
  EXPECT_NEAR(metrics.ari, (1 - expected) / (1.5 - expected), 1e-12);
  EXPECT_NEAR(metrics.fmi, 1 / std::sqrt(2.0), 1e-12);
}

TEST(ClusterMetrics, AreOneForTheSamePartitionUnderOtherNames) {
  const auto metrics = metrics_of({0, 0, 1, 1, 2}, {7, 7, 4000000000, 4000000000, 0});
  EXPECT_NEAR(metrics.nmi, 1, 1e-12);
  EXPECT_EQ(metrics.ari, 1);
  EXPECT_NEAR(metrics.fmi, 1, 1e-12);
}

TEST(ClusterMetrics, FollowTheConventionsForDegenerateCases) {
  const auto empty = ClusterTable().metrics();
  EXPECT_EQ(empty.nmi + empty.ari + empty.fmi, 0);
  const auto one = metrics_of({3}, {5});
  EXPECT_EQ(one.nmi, 1);
  EXPECT_EQ(one.ari, 1);
  EXPECT_EQ(one.fmi, 0);
  const auto collapsed = metrics_of({0, 1, 0, 1}, {2, 2, 2, 2});
  EXPECT_EQ(collapsed.nmi, 0);
  EXPECT_EQ(collapsed.ari, 0);
  const auto apart = metrics_of({0, 0, 0}, {0, 1, 2});
  EXPECT_EQ(apart.fmi, 0);
  EXPECT_EQ(metrics_of({0, 0}, {1, 1}).nmi, 1);
}

TEST(ClusterMetrics, DoNotDependOnBatchesOrOrder) {
  const auto labels = torch::tensor({0, 1, 2, 0, 1, 2, 0, 0}, torch::kLong);
  const auto clusters = torch::tensor({5, 1, 1, 5, 1, 3, 3, 5}, torch::kLong);
  ClusterTable whole;
  whole.add(labels, clusters);
  ClusterTable parts;
  for (int64_t i = 7; i >= 0; --i)
    parts.add(labels.slice(0, i, i + 1), clusters.slice(0, i, i + 1));
  EXPECT_EQ(parts.metrics().nmi, whole.metrics().nmi);
  EXPECT_EQ(parts.metrics().ari, whole.metrics().ari);
  EXPECT_EQ(parts.metrics().fmi, whole.metrics().fmi);
  parts.clear();
  EXPECT_EQ(parts.metrics().nmi, 0);
}

TEST(ClusterMetrics, RefuseWhatIsNoLabeling) {
  ClusterTable table;
  const auto ids = torch::zeros({2}, torch::kLong);
  EXPECT_THROW(table.add(ids, ids.slice(0, 0, 1)), Error);
  EXPECT_THROW(table.add(ids.to(torch::kFloat), ids), Error);
  EXPECT_THROW(table.add(ids, ids.view({1, 2})), Error);
  EXPECT_THROW(table.add(ids - 1, ids), Error);
  EXPECT_THROW(table.add(ids, ids + (int64_t{1} << 32)), Error);
}

TEST(ClusterMetricsGolden, MatchTheReference) {
  for (const auto& golden : testing::golden_cases("12_cluster_metrics")) {
    const auto tensors = golden.tensors();
    const double tolerance = golden.json["tolerance"]["abs"];
    for (const auto& expected : golden.json["results"].elements()) {
      const std::string name = expected["name"];
      SCOPED_TRACE(name);
      ClusterTable table;
      table.add(tensors.at(name + ".labels"), tensors.at(name + ".clusters"));
      const auto metrics = table.metrics();
      EXPECT_NEAR(metrics.nmi, expected["nmi"].get<double>(), tolerance);
      EXPECT_NEAR(metrics.ari, expected["ari"].get<double>(), tolerance);
      EXPECT_NEAR(metrics.fmi, expected["fscore"].get<double>(), tolerance);
    }
    golden.json.expect_all_read(
        {"results/acc", "results/acc_best_one_to_one", "results/n", "results/classes"});
  }
}

}  // namespace
}  // namespace ibot::metrics
