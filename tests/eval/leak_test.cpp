// Evaluations must not see labels that they are tested on: with permuted training labels, every one
// of them falls to chance.
#include <gtest/gtest.h>
#include <torch/utils.h>

#include <cmath>
#include <functional>

#include "ibot/eval/clustering.h"
#include "ibot/eval/fine_tuner.h"
#include "ibot/eval/knn.h"
#include "ibot/eval/linear_heads.h"
#include "ibot/eval/logistic_regression.h"

namespace ibot::eval {
namespace {

constexpr int64_t kClasses = 5;
constexpr int64_t kTest = 1000;

/// Separable classes: the features tell the label.
FeatureBank separable(int64_t count, const torch::Tensor& centers) {
  const auto labels = torch::randint(kClasses, {count}, torch::kLong);
  return {centers.index_select(0, labels) + 0.3 * torch::randn({count, 8}), labels,
          torch::arange(count), ""};
}

using Evaluation = std::function<double(const FeatureBank& train, const FeatureBank& test)>;

void expect_no_leak(const Evaluation& top1) {
  torch::manual_seed(11);
  const auto centers = torch::randn({kClasses, 8});
  const auto train = separable(500, centers);
  const auto test = separable(kTest, centers);
  EXPECT_GT(top1(train, test), 90);
  double sum = 0;
  constexpr int kTrials = 10;
  for (int trial = 0; trial < kTrials; ++trial) {
    auto permuted = train;
    permuted.labels = train.labels.index_select(0, torch::randperm(500, torch::kLong));
    sum += top1(permuted, test);
  }
  // All images of a class can go the same way, so a class counts as one draw of five.
  const double chance = 100.0 / kClasses;
  const double deviation = 100 * std::sqrt(0.2 * 0.8 / (kClasses * kTrials));
  EXPECT_NEAR(sum / kTrials, chance, 4 * deviation);
}

TEST(Leak, KnnFallsToChance) {
  expect_no_leak([](const auto& train, const auto& test) {
    return classify_knn(train, test, {{20}, 0.07}).at(0).top1;
  });
}

TEST(Leak, LogisticRegressionFallsToChance) {
  expect_no_leak([](const auto& train, const auto& test) {
    return logistic_top1(fit_logistic(train, kClasses, 1.0, {}), test);
  });
}

TEST(Leak, LinearHeadsFallToChance) {
  expect_no_leak([](const auto& train, const auto& test) {
    LinearHeads heads({{0.1, 0, false}}, 8, kClasses, 0, torch::kCPU);
    for (int64_t step = 0; step < 200; ++step) heads.step(train.features, train.labels, 1.0);
    return 100.0 * heads.hits(test.features, test.labels).top1.template item<double>() / kTest;
  });
}

TEST(Leak, ClustersAgreeWithPermutedLabelsByChance) {
  torch::manual_seed(11);
  const auto bank = separable(kTest, torch::randn({kClasses, 8}));
  const auto cluster = kmeans(bank.features, {.clusters = kClasses}).cluster;
  EXPECT_GT(cluster_metrics(bank.labels, cluster)["ari"], 80);
  const auto permuted = bank.labels.index_select(0, torch::randperm(kTest, torch::kLong));
  const auto metrics = cluster_metrics(permuted, cluster);
  EXPECT_NEAR(metrics.at("ari"), 0, 1);
  EXPECT_NEAR(metrics.at("nmi"), 0, 2);
  // The best of all matchings, of which each hits a fifth of the images, give or take 1.3 %.
  EXPECT_NEAR(metrics.at("acc"), 100.0 / kClasses, 6);
}

/// Gray images of 8 x 8, as bright as the first feature says, in batches of 10, over and over.
class GrayImages : public batch::BatchSource<batch::LabeledBatch> {
 public:
  GrayImages(const FeatureBank& bank, int64_t passes) : bank_(bank), left_(passes * kBatches) {}

  std::optional<batch::LabeledBatch> next() override {
    if (left_-- == 0) return std::nullopt;
    const int64_t begin = left_ % kBatches * 10;
    const auto level = bank_.features.narrow(0, begin, 10).select(1, 0).view({10, 1, 1, 1});
    return batch::LabeledBatch{level.expand({10, 3, 8, 8}).to(torch::kByte),
                               bank_.labels.narrow(0, begin, 10),
                               bank_.sample_id.narrow(0, begin, 10)};
  }

  static constexpr int64_t kBatches = 6;

 private:
  FeatureBank bank_;
  int64_t left_;
};

/// Class c has brightness 50 c + 20 and some more.
FeatureBank levels() {
  const auto labels = torch::arange(10 * GrayImages::kBatches) % kClasses;
  const auto level = labels * 50 + 20 + torch::randint(20, labels.sizes());
  return {level.view({-1, 1}), labels, torch::arange(labels.size(0)), ""};
}

double fine_tuned_top1(const FeatureBank& train, const FeatureBank& test) {
  ClassifierOptions network;
  network.backbone = {.arch = "vit_tiny",
                      .patch_size = 4,
                      .image_size = 8,
                      .drop_path = 0.0,
                      .embed_dim = 16,
                      .depth = {1},
                      .heads = {1}};
  network.classes = kClasses;
  FineTuneOptions options;
  options.epochs = 20;
  options.batch_size = 10;
  options.lr = 2e-2;
  options.lr_batch = 0;
  options.warmup_epochs = 1;
  options.drop_path = 0.0;
  options.layer_decay = 1.0;
  options.run.precision = optim::Precision::kFp32;
  auto classifier = std::make_shared<Classifier>(network, 0);
  FineTuneStep step(options, classifier, torch::kCPU);
  FineTuner tuner({.mixing = {.erase_prob = 0.0, .mixup = 0.0, .cutmix = 0.0},
                   .normalization = {},
                   .steps_per_epoch = GrayImages::kBatches},
                  step, {});
  GrayImages batches(train, options.epochs);
  tuner.run(batches);
  GrayImages unseen(test, 1);
  return test_classifier(*classifier, unseen, {}, torch::kCPU, optim::Precision::kFp32).top1;
}

TEST(Leak, FineTuningFallsToChance) {
  torch::manual_seed(12);
  const auto train = levels();
  const auto test = levels();
  EXPECT_GT(fine_tuned_top1(train, test), 90);
  double sum = 0;
  constexpr int kTrials = 6;
  for (int trial = 0; trial < kTrials; ++trial) {
    auto permuted = train;
    const auto order = torch::randperm(train.labels.size(0), torch::kLong);
    permuted.labels = train.labels.index_select(0, order);
    sum += fine_tuned_top1(permuted, test);
  }
  const double deviation = 100 * std::sqrt(0.2 * 0.8 / (kClasses * kTrials));
  EXPECT_NEAR(sum / kTrials, 100.0 / kClasses, 4 * deviation);
}

}  // namespace
}  // namespace ibot::eval
