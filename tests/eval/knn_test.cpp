#include "ibot/eval/knn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ibot/eval/nearest.h"
#include "support/expect_tensor.h"
#include "support/golden_tensors.h"
#include "support/test_device.h"

namespace ibot::eval {
namespace {

using ::testing::HasSubstr;

FeatureBank bank(const torch::Tensor& features, const std::vector<int64_t>& labels) {
  return {features.to(torch::kFloat), torch::tensor(labels, torch::kLong),
          torch::arange(features.size(0)), "hand"};
}

/// Unit vectors whose cosines with (1, 0) are these.
torch::Tensor with_cosines(const std::vector<double>& cosines) {
  const auto x = torch::tensor(cosines, torch::kDouble);
  return torch::stack({x, (1 - x * x).sqrt()}, 1);
}

KnnAccuracy classify(const FeatureBank& train, const FeatureBank& test, int64_t k,
                     double temperature = 1.0) {
  return classify_knn(train, test, {{k}, temperature}).at(0);
}

TEST(Knn, WeighsVotesBySimilarity) {
  // One neighbor of class 0 at cosine 1 against two of class 1 at cosine 0.6: it wins when
  // exp(0.4 / T) > 2, that is below T = 0.577.
  const auto train = bank(with_cosines({1.0, 0.6, 0.6}), {0, 1, 1});
  const auto test = bank(with_cosines({1.0}), {0});
  EXPECT_EQ(classify(train, test, 3, 0.57).top1, 100.0);
  EXPECT_EQ(classify(train, test, 3, 0.59).top1, 0.0);
  EXPECT_EQ(classify(train, test, 1, 0.59).top1, 100.0);
}

TEST(Knn, IgnoresTheLengthOfFeatures) {
  const auto train = bank(with_cosines({1.0, 0.6}) * torch::tensor({{0.001}, {1000.0}}), {0, 1});
  const auto test = bank(with_cosines({1.0}) * 5, {0});
  EXPECT_EQ(classify(train, test, 1).top1, 100.0);
  EXPECT_EQ(classify(train, test, 2).top1, 100.0);
}

TEST(Knn, CountsEveryKOfOneSearch) {
  const auto train = bank(with_cosines({1.0, 0.9, 0.8, -1.0}), {0, 1, 1, 1});
  const auto test = bank(with_cosines({1.0, 0.95}), {0, 1});
  const auto result = classify_knn(train, test, {{4, 1}, 10.0});
  ASSERT_EQ(result.size(), 2u);
  EXPECT_EQ(result[0].k, 4);
  EXPECT_EQ(result[0].top1, 50.0);  // class 1 by numbers
  EXPECT_EQ(result[1].k, 1);
  EXPECT_EQ(result[0].top5, 100.0);
  EXPECT_EQ(knn_metrics(result).at("top1_k4"), 50.0);
  EXPECT_EQ(knn_metrics(result).size(), 4u);
}

TEST(Knn, SurvivesATinyTemperature) {
  const auto train = bank(with_cosines({1.0, 0.6, 0.6}), {0, 1, 1});
  EXPECT_EQ(classify(train, bank(with_cosines({1.0}), {0}), 3, 1e-6).top1, 100.0);
}

TEST(Knn, PrefersTheEarlierOfEqualNeighbors) {
  const auto same = with_cosines({0.5, 0.5, 0.5, 0.5});
  const auto test = bank(with_cosines({1.0}), {3});
  EXPECT_EQ(classify(bank(same, {3, 0, 0, 0}), test, 1).top1, 100.0);
  EXPECT_EQ(classify(bank(same, {0, 3, 3, 3}), test, 1).top1, 0.0);
}

TEST(Knn, OrdersNegativeSimilaritiesToo) {
  const auto train = bank(with_cosines({-0.9, -0.1, -0.5}), {0, 1, 2});
  EXPECT_EQ(classify(train, bank(with_cosines({1.0}), {1}), 1).top1, 100.0);
}

TEST(Knn, PrefersTheLowerOfEqualClassesAndNeverOneWithoutVotes) {
  const auto train = bank(with_cosines({0.5, 0.5, -0.9}), {4, 2, 1});
  EXPECT_EQ(classify(train, bank(with_cosines({1.0}), {2}), 2).top1, 100.0);
  const auto second = classify(train, bank(with_cosines({1.0}), {4}), 2);
  EXPECT_EQ(second.top1, 0.0);
  EXPECT_EQ(second.top5, 100.0);
  EXPECT_EQ(classify(train, bank(with_cosines({1.0}), {1}), 2).top5, 0.0);
  EXPECT_EQ(classify(train, bank(with_cosines({1.0}), {9}), 3).top5, 0.0);
}

TEST(Knn, LeavesTheSixthClassOutOfFive) {
  const auto train = bank(with_cosines({0.9, 0.8, 0.7, 0.6, 0.5, 0.4}), {5, 4, 3, 2, 1, 0});
  EXPECT_EQ(classify(train, bank(with_cosines({1.0}), {1}), 6).top5, 100.0);
  EXPECT_EQ(classify(train, bank(with_cosines({1.0}), {0}), 6).top5, 0.0);
}

/// The same definition by plain loops, in double.
double top1_by_sorting(const FeatureBank& train, const FeatureBank& test, int64_t k, double t,
                       int64_t classes) {
  const auto unit = [](const torch::Tensor& x) {
    return (x / x.norm(2, 1, true)).to(torch::kDouble).contiguous();
  };
  const auto a = unit(test.features);
  const auto b = unit(train.features);
  int64_t hits = 0;
  for (int64_t row = 0; row < a.size(0); ++row) {
    std::vector<std::pair<double, int64_t>> order;
    const auto* x = a.data_ptr<double>() + row * a.size(1);
    for (int64_t i = 0; i < b.size(0); ++i) {
      const auto* y = b.data_ptr<double>() + i * a.size(1);
      double dot = 0;
      for (int64_t d = 0; d < a.size(1); ++d) dot += x[d] * y[d];
      order.emplace_back(-dot, i);
    }
    std::partial_sort(order.begin(), order.begin() + k, order.end());
    std::vector<double> votes(static_cast<size_t>(classes));
    for (int64_t i = 0; i < k; ++i) {
      const auto label = train.labels[order[static_cast<size_t>(i)].second].item<int64_t>();
      votes[static_cast<size_t>(label)] += std::exp(-order[static_cast<size_t>(i)].first / t);
    }
    const auto best = std::max_element(votes.begin(), votes.end()) - votes.begin();
    hits += best == test.labels[row].item<int64_t>();
  }
  return 100.0 * static_cast<double>(hits) / static_cast<double>(a.size(0));
}

// More training and test images than one chunk of each holds.
TEST(Knn, FindsNeighborsInEveryChunk) {
  constexpr int64_t kClasses = 6;
  auto generator = torch::make_generator<at::CPUGeneratorImpl>(1);
  const auto centers = torch::randn({kClasses, 5}, generator);
  const auto noisy = [&](int64_t count) {
    const auto labels = torch::arange(count) % kClasses;
    const auto noise = torch::randn({count, 5}, generator);
    return FeatureBank{centers.index_select(0, labels) + noise, labels, torch::arange(count), ""};
  };
  const auto train = noisy(66000);
  const auto test = noisy(300);
  EXPECT_NEAR(classify(train, test, 20, 0.07).top1,
              top1_by_sorting(train, test, 20, 0.07, kClasses), 1e-9);
}

void expect_refusal(const FeatureBank& train, const FeatureBank& test, const KnnOptions& options,
                    const std::string& reason) {
  try {
    classify_knn(train, test, options);
    ADD_FAILURE() << "expected: " << reason;
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(reason));
  }
}

TEST(Knn, ThePublishedNumbersOfNeighborsAreThoseThatTheImagesAllow) {
  using Numbers = std::vector<int64_t>;
  EXPECT_EQ(numbers_of_neighbors({}, 1'281'167), (Numbers{10, 20, 100, 200}));
  EXPECT_EQ(numbers_of_neighbors({}, 200), (Numbers{10, 20, 100, 200}));
  EXPECT_EQ(numbers_of_neighbors({}, 199), (Numbers{10, 20, 100}));
  EXPECT_EQ(numbers_of_neighbors({}, 5), Numbers{10});
  EXPECT_EQ(numbers_of_neighbors({300, 7}, 5), (Numbers{300, 7}));
}

TEST(KnnRefusal, NamesWhatIsWrong) {
  const auto good = bank(with_cosines({1.0, 0.5}), {0, 1});
  expect_refusal(good, good, {{3}, 0.07}, "at most the 2 training images, got 3");
  expect_refusal(good, good, {{0}, 0.07}, "k: expected above 0");
  expect_refusal(good, good, {{}, 0.07}, "k: expected at least one");
  expect_refusal(good, good, {{1}, 0.0}, "temperature");
  expect_refusal(good, bank(torch::ones({1, 3}), {0}), {{1}, 0.07}, "width 2, got 3");
  expect_refusal(bank(torch::ones({2, 2}), {0}), good, {{1}, 0.07}, "expected 2 training labels");
  expect_refusal(good, bank(torch::ones({1, 2}), {-1}), {{1}, 0.07}, "test labels of 0 and above");
  expect_refusal(bank(torch::full({1, 2}, NAN), {0}), good, {{1}, 0.07}, "finite training");
  expect_refusal(bank(torch::ones({0, 2}), {}), good, {{1}, 0.07}, "training features");
}

/// Whether rounding can move a vote: two classes as good as level, or as near a k-th neighbor as
/// the one behind it. Votes are exp(similarity / T), so errors of similarities grow by 1 / T.
bool near_tie(const testing::ReadJson& result, double temperature) {
  const double margin = result["min_relative_margin_top1"];
  const double gap = result["min_gap_kth_neighbour"];
  constexpr double kRounding = 1e-7;
  return margin < kRounding / temperature || gap < kRounding;
}

void expect_accuracy(const KnnAccuracy& ours, const testing::ReadJson& result, double temperature,
                     double image) {
  SCOPED_TRACE(concat("k ", ours.k));
  const double slack = near_tie(result, temperature) ? image + 1e-9 : 1e-9;
  EXPECT_NEAR(ours.top1, result["top1"].get<double>(), slack);
  const auto top1 = result["top1_bounds"].get<std::array<double, 2>>();
  EXPECT_GE(ours.top1, top1[0] - slack);
  EXPECT_LE(ours.top1, top1[1] + slack);
  const auto top5 = result["top5_bounds"].get<std::array<double, 2>>();
  EXPECT_GE(ours.top5, top5[0] - 1e-9);
  EXPECT_LE(ours.top5, top5[1] + 1e-9);
}

TEST(KnnGolden, GivesTheReferencesAccuracies) {
  for (const auto& golden : testing::golden_cases("09_knn")) {
    SCOPED_TRACE(golden.name);
    const testing::GoldenTensors tensors(golden.tensors(),
                                         testing::on_test_device(testing::Tolerance()));
    const auto bank = [&](const std::string& name) {
      return FeatureBank{tensors.at(name + "_features").to(testing::test_device()),
                         tensors.at(name + "_labels"),
                         {},
                         ""};
    };
    const auto train = bank("train"), test = bank("test");
    const auto config = golden.json["config"];
    EXPECT_LT(train.labels.max().item<int64_t>(), config["real_classes"].get<int64_t>());
    KnnOptions options{{}, config["temperature"]};
    const auto results = golden.json["results"].elements();
    for (const auto& result : results) options.k.push_back(result["k"]);
    const auto accuracies = classify_knn(train, test, options);
    ASSERT_EQ(accuracies.size(), results.size());
    const double image = 100.0 / static_cast<double>(test.labels.size(0));
    for (size_t i = 0; i < accuracies.size(); ++i) {
      expect_accuracy(accuracies[i], results[i], options.temperature, image);
    }
    tensors.compare(unit_length(train.features), "train_features_normalized");
    tensors.compare(unit_length(test.features), "test_features_normalized");
    for (const int64_t k : tensors.counts("neighbours_k")) {
      const auto neighbors = nearest_rows(test.features, train.features, k);
      tensors.compare(neighbors.similarity, concat("neighbours_k", k, "_similarity"));
      tensors.compare(neighbors.index, concat("neighbours_k", k, "_index"));
    }
    tensors.expect_all_used();
    // The number of classes decides the order of classes without any vote, which has bounds.
    golden.json.expect_all_read({"config/num_classes_argument", "tolerance", "results/top5",
                                 "results/top5_with_num_classes_set_to_real_count"});
  }
}

}  // namespace
}  // namespace ibot::eval
