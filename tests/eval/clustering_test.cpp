#include "ibot/eval/clustering.h"

#include <gtest/gtest.h>
#include <torch/utils.h>

#include "ibot/eval/features.h"
#include "ibot/io/safetensors.h"
#include "support/expect_tensor.h"
#include "support/python.h"
#include "support/temporary_folder.h"

namespace ibot::eval {
namespace {

TEST(Kmeans, FindsSeparatedGroups) {
  torch::manual_seed(1);
  const auto labels = torch::arange(60).remainder(4);
  const auto centers = torch::tensor({{0., 0.}, {0., 10.}, {10., 0.}, {10., 10.}});
  const auto features =
      (centers.index_select(0, labels) + 0.1 * torch::randn({60, 2})).to(torch::kFloat);
  const auto found = kmeans(features, {.clusters = 4});
  const auto metrics = cluster_metrics(labels, found.cluster);
  EXPECT_EQ(metrics.at("acc"), 100);
  EXPECT_NEAR(metrics.at("nmi"), 100, 1e-9);
  double inertia = 0;
  for (int64_t group = 0; group < 4; ++group) {
    const auto rows = features.index_select(0, labels.eq(group).nonzero().flatten());
    inertia += (rows - rows.mean(0)).square().sum().item<double>();
  }
  EXPECT_NEAR(found.inertia, inertia, 1e-3 * inertia);
}

TEST(Kmeans, IsAFixedPointOfItsOwnSteps) {
  torch::manual_seed(2);
  const auto features = torch::randn({200, 3});
  const auto found = kmeans(features, {.clusters = 7, .iterations = 1000, .restarts = 2});
  std::vector<torch::Tensor> centers;
  for (int64_t cluster = 0; cluster < 7; ++cluster) {
    const auto rows = features.index_select(0, found.cluster.eq(cluster).nonzero().flatten());
    ASSERT_GT(rows.size(0), 0);
    centers.push_back(rows.mean(0));
  }
  const auto distance = torch::cdist(features, torch::stack(centers));
  EXPECT_TENSOR_EQUAL(distance.argmin(1), found.cluster);
  EXPECT_NEAR(found.inertia, std::get<0>(distance.min(1)).square().sum().item<double>(), 1e-3);
}

TEST(Kmeans, RepeatsItselfAndRefusesTooFewRows) {
  torch::manual_seed(3);
  const auto features = torch::randn({50, 3});
  const KmeansOptions options{.clusters = 5};
  EXPECT_TENSOR_EQUAL(kmeans(features, options).cluster, kmeans(features, options).cluster);
  EXPECT_THROW(kmeans(features, {.clusters = 51}), Error);
  // As many clusters as rows: every row its own.
  EXPECT_NEAR(kmeans(features, {.clusters = 50}).inertia, 0, 1e-3);
}

// As many overlapping groups as clusters, which one run of Lloyd's algorithm rarely sorts out.
TEST(Kmeans, IsAsTightAsScikitLearns) {
  if (!testing::python_has("sklearn, safetensors.numpy")) GTEST_SKIP() << "python3 has no sklearn";
  torch::manual_seed(5);
  const auto labels = torch::arange(500).remainder(20);
  const auto directions =
      torch::randn({20, 32}).index_select(0, labels) + 0.8 * torch::randn({500, 32});
  const auto features = unit_length(directions);
  const testing::TemporaryFolder folder;
  const auto file = folder / "features.safetensors";
  io::write_safetensors(file, {{{"features", features}}, {}});
  const double theirs = std::stod(
      testing::python_output("from safetensors.numpy import load_file\n"
                             "from sklearn.cluster import KMeans\n"
                             "x = load_file('" +
                             file.string() +
                             "')['features']\n"
                             "print(KMeans(20, n_init=10, random_state=0).fit(x).inertia_)\n"));
  EXPECT_LE(kmeans(features, {.clusters = 20}).inertia, theirs * (1 + 1e-6));
}

TEST(Kmeans, NoRowWouldRatherBeElsewhere) {
  torch::manual_seed(6);
  const auto features = torch::randn({60, 2});
  const auto found = kmeans(features, {.clusters = 6});
  const auto inertia = [&](const torch::Tensor& clusters) {
    double sum = 0;
    for (int64_t c = 0; c < 6; ++c) {
      const auto rows = features.index_select(0, clusters.eq(c).nonzero().flatten());
      if (rows.size(0) > 0) sum += (rows - rows.mean(0)).square().sum().item<double>();
    }
    return sum;
  };
  const double best = inertia(found.cluster);
  EXPECT_NEAR(found.inertia, best, 1e-4);
  for (int64_t row = 0; row < 60; ++row) {
    for (int64_t c = 0; c < 6; ++c) {
      auto moved = found.cluster.clone();
      moved[row] = c;
      EXPECT_GE(inertia(moved), best * (1 - 1e-5)) << row << " to " << c;
    }
  }
}

TEST(ClusterScores, AgreeWithScikitLearn) {
  if (!testing::python_has("sklearn, scipy")) GTEST_SKIP() << "python3 has no sklearn";
  torch::manual_seed(4);
  const auto labels = torch::randint(6, {300}, torch::kLong);
  // Three clusters more than classes, some of them right.
  const auto clusters = torch::where(torch::rand({300}) < 0.6, (labels * 5 + 1).remainder(9),
                                     torch::randint(9, {300}, torch::kLong));
  const auto list = [](const torch::Tensor& ids) {
    std::string text = "[";
    for (int64_t i = 0; i < ids.numel(); ++i) text += std::to_string(ids[i].item<int64_t>()) + ",";
    return text + "]";
  };
  const auto theirs = testing::python_output(
      "import numpy as np\n"
      "from scipy.optimize import linear_sum_assignment\n"
      "from sklearn import metrics as m\n"
      "a, b = np.array(" +
      list(labels) + "), np.array(" + list(clusters) +
      ")\n"
      "t = m.cluster.contingency_matrix(a, b)\n"
      "print(t[linear_sum_assignment(-t)].sum() / len(a))\n"
      "print(m.normalized_mutual_info_score(a, b))\n"
      "print(m.adjusted_rand_score(a, b))\n"
      "print(m.fowlkes_mallows_score(a, b))\n");
  std::istringstream lines(theirs);
  const auto ours = cluster_metrics(labels, clusters);
  for (const char* name : {"acc", "nmi", "ari", "fmi"}) {
    double expected = -1;
    lines >> expected;
    EXPECT_NEAR(ours.at(name), 100 * expected, 1e-6) << name;
  }
}

}  // namespace
}  // namespace ibot::eval
