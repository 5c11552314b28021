#include "ibot/metrics/assignment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "ibot/base/error.h"
#include "ibot/base/rng.h"
#include "ibot/metrics/cluster_metrics.h"
#include "support/golden.h"

namespace ibot::metrics {
namespace {

/// The best over all permutations of the longer side.
int64_t by_trial(const std::vector<std::vector<int64_t>>& images) {
  const size_t rows = images.size();
  const size_t columns = images.front().size();
  std::vector<size_t> order(std::max(rows, columns));
  std::iota(order.begin(), order.end(), 0);
  int64_t best = 0;
  do {
    int64_t sum = 0;
    for (size_t i = 0; i < std::min(rows, columns); ++i) {
      sum += rows <= columns ? images[i][order[i]] : images[order[i]][i];
    }
    best = std::max(best, sum);
  } while (std::next_permutation(order.begin(), order.end()));
  return best;
}

TEST(Assignment, FindsWhatTrialOfAllPermutationsFinds) {
  Rng rng(7, 0, 0, 0);
  for (int trial = 0; trial < 200; ++trial) {
    const auto rows = static_cast<size_t>(rng.integer(1, 6));
    const auto columns = static_cast<size_t>(rng.integer(1, 6));
    std::vector<std::vector<int64_t>> images(rows, std::vector<int64_t>(columns));
    std::vector<int64_t> counts;
    for (size_t row = 0; row < rows; ++row) {
      for (size_t column = 0; column < columns; ++column) {
        images[row][column] = rng.integer(0, 9);
        // Names far apart and out of order; pairs without images are not listed.
        if (images[row][column] == 0) continue;
        counts.insert(counts.end(), {static_cast<int64_t>(1000 - row * 10),
                                     static_cast<int64_t>(column * 7), images[row][column]});
      }
    }
    const auto table = torch::tensor(counts, torch::kLong).view({-1, 3});
    EXPECT_EQ(matched_images(table), by_trial(images)) << "trial " << trial;
  }
}

TEST(Assignment, RefusesWhatIsNoTable) {
  EXPECT_THROW(matched_images(torch::zeros({2, 2}, torch::kLong)), Error);
  EXPECT_THROW(matched_images(torch::zeros({2, 3})), Error);
}

TEST(AssignmentGolden, MatchTheReference) {
  for (const auto& golden : testing::golden_cases("12_cluster_metrics")) {
    const auto tensors = golden.tensors();
    const double tolerance = golden.json["tolerance"]["abs"];
    for (const auto& expected : golden.json["results"].elements()) {
      const std::string name = expected["name"];
      SCOPED_TRACE(name);
      const auto labels = tensors.at(name + ".labels");
      ClusterTable table;
      table.add(labels, tensors.at(name + ".clusters"));
      const auto matched = static_cast<double>(matched_images(table.counts()));
      EXPECT_NEAR(matched / static_cast<double>(labels.numel()),
                  expected["acc_best_one_to_one"].get<double>(), tolerance);
      EXPECT_EQ(labels.numel(), expected["n"].get<int64_t>());
      EXPECT_LT(labels.max().item<int64_t>(), expected["classes"].get<int64_t>());
    }
    // acc is what the reference makes of the best assignment, faults included.
    golden.json.expect_all_read({"results/acc", "results/nmi", "results/ari", "results/fscore"});
  }
}

}  // namespace
}  // namespace ibot::metrics
