#include "ibot/eval/knn.h"

#include <torch/utils.h>

#include <algorithm>
#include <utility>

#include "ibot/eval/nearest.h"

namespace ibot::eval {

namespace {

// Votes of this many test images at a time.
constexpr int64_t kTestRows = 256;

void check_bank(const FeatureBank& bank, const char* name) {
  IBOT_CHECK(bank.features.dim() == 2 && bank.features.scalar_type() == torch::kFloat &&
                 bank.features.numel() > 0,
             "knn: expected ", name, " features float32 of shape [S, F], got ",
             bank.features.scalar_type(), " of shape ", bank.features.sizes());
  IBOT_CHECK(bank.labels.dim() == 1 && bank.labels.size(0) == bank.features.size(0) &&
                 bank.labels.scalar_type() == torch::kLong,
             "knn: expected ", bank.features.size(0), ' ', name, " labels, got ",
             bank.labels.scalar_type(), " of shape ", bank.labels.sizes());
  IBOT_CHECK(bank.labels.min().item<int64_t>() >= 0, "knn: expected ", name,
             " labels of 0 and above");
  check_finite(bank.features, "knn", concat(name, " features"));
}

/// Whether each row's class is among the first `count` by votes.
torch::Tensor hits(const torch::Tensor& votes, const torch::Tensor& labels, int64_t count) {
  const auto own = votes.gather(1, labels.unsqueeze(1));  // [R, 1]
  const auto classes = torch::arange(votes.size(1), labels.options());
  const auto before = (votes > own) | ((votes == own) & (classes < labels.unsqueeze(1)));
  // A class without any vote is never right, even where fewer than `count` classes have one.
  return (before.sum(1) < count) & (own.squeeze(1) > 0);
}

/// Counts the hits of one chunk of test images at every k.
class Tally {
 public:
  Tally(std::vector<int64_t> k, double temperature, int64_t classes)
      : k_(std::move(k)),
        temperature_(temperature),
        classes_(classes),
        top1_(k_.size()),
        top5_(k_.size()) {}

  void add(const Neighbors& neighbors, const torch::Tensor& train_labels,
           const torch::Tensor& labels) {
    const auto voted = train_labels.take(neighbors.index);  // [R, k]
    // Relative to the nearest neighbor's vote: the ranking is the same and nothing overflows.
    const auto similarity = neighbors.similarity.to(torch::kDouble);
    const auto weight = ((similarity - similarity.slice(1, 0, 1)) / temperature_).exp();
    const auto votes = torch::zeros({labels.size(0), classes_}, weight.options());
    // One neighbor of every row at a time: adding them all at once would add in any order on a
    // GPU.
    for (int64_t rank = 0; rank < voted.size(1); ++rank) {
      votes.scatter_add_(1, voted.slice(1, rank, rank + 1), weight.slice(1, rank, rank + 1));
      count(rank + 1, votes, labels);
    }
  }

  std::vector<KnnAccuracy> accuracies(int64_t images) const {
    std::vector<KnnAccuracy> result;
    for (size_t i = 0; i < k_.size(); ++i) {
      const double percent = 100.0 / static_cast<double>(images);
      result.push_back({k_[i], percent * static_cast<double>(top1_[i]),
                        percent * static_cast<double>(top5_[i])});
    }
    return result;
  }

 private:
  void count(int64_t neighbors, const torch::Tensor& votes, const torch::Tensor& labels) {
    for (size_t i = 0; i < k_.size(); ++i) {
      if (k_[i] != neighbors) continue;
      top1_[i] += hits(votes, labels, 1).sum().item<int64_t>();
      top5_[i] += hits(votes, labels, 5).sum().item<int64_t>();
    }
  }

  std::vector<int64_t> k_;
  double temperature_;
  int64_t classes_;
  std::vector<int64_t> top1_;
  std::vector<int64_t> top5_;
};

}  // namespace

std::vector<int64_t> numbers_of_neighbors(const std::vector<int64_t>& k, int64_t train_images) {
  if (!k.empty()) return k;
  auto published = KnnOptions().k;
  // Small sets keep the numbers of neighbors that they have images for.
  while (published.size() > 1 && published.back() > train_images) published.pop_back();
  return published;
}

std::vector<KnnAccuracy> classify_knn(const FeatureBank& train, const FeatureBank& test,
                                      const KnnOptions& options) {
  options.validate();
  check_bank(train, "training");
  check_bank(test, "test");
  IBOT_CHECK(train.features.size(1) == test.features.size(1),
             "knn: expected test features of width ", train.features.size(1), ", got ",
             test.features.size(1));
  const int64_t largest_k = *std::max_element(options.k.begin(), options.k.end());
  IBOT_CHECK(largest_k <= train.features.size(0), "knn: expected k of at most the ",
             train.features.size(0), " training images, got ", largest_k);

  const torch::NoGradGuard no_grad;
  const auto device = test.features.device();
  const auto train_labels = train.labels.to(device);
  const auto test_labels = test.labels.to(device);
  // A class may have test images alone: it has a column without votes.
  const int64_t classes =
      std::max(train_labels.max().item<int64_t>(), test_labels.max().item<int64_t>()) + 1;
  const auto neighbors = nearest_rows(test.features, train.features, largest_k);
  Tally tally(options.k, options.temperature, classes);
  const int64_t images = test.features.size(0);
  for (int64_t start = 0; start < images; start += kTestRows) {
    const auto rows = [&](const torch::Tensor& all) {
      return all.slice(0, start, start + kTestRows);
    };
    tally.add({rows(neighbors.index), rows(neighbors.similarity)}, train_labels, rows(test_labels));
  }
  return tally.accuracies(images);
}

std::map<std::string, double> knn_metrics(const std::vector<KnnAccuracy>& accuracies) {
  std::map<std::string, double> metrics;
  for (const auto& accuracy : accuracies) {
    metrics[concat("top1_k", accuracy.k)] = accuracy.top1;
    metrics[concat("top5_k", accuracy.k)] = accuracy.top5;
  }
  return metrics;
}

}  // namespace ibot::eval
