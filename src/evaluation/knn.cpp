#include "ibot/eval/knn.h"

#include <algorithm>

#include "evaluation/table.h"
#include "ibot/evaluation/evaluations.h"

namespace ibot::evaluation {
namespace {

class Knn : public Evaluation {
 public:
  explicit Knn(eval::KnnOptions options)
      : Evaluation({"knn",
                    "weighted nearest neighbors: val/ classified by train/",
                    {.train_features = true, .test_features = true}}),
        options_(std::move(options)) {}

  Least least() const override {
    const auto least = eval::numbers_of_neighbors(options_.k, 0);
    return {.train_images = *std::max_element(least.begin(), least.end()),
            .key = "eval.k",
            .mend = "ask for fewer neighbors"};
  }

  eval::Report run(const Inputs& inputs, const Listener&) const override {
    const eval::KnnOptions options{
        eval::numbers_of_neighbors(options_.k, inputs.train.labels.size(0)), options_.temperature};
    // The search runs where the test features are; training features follow block by block.
    auto test = inputs.test;
    test.features = test.features.to(inputs.subject.device);
    const auto accuracies = eval::classify_knn(inputs.train, test, options);
    eval::Report report{.metrics = eval::knn_metrics(accuracies),
                        .options = eval::option_values(options),
                        .table = table_line("%6s %8s %8s", "k", "top-1", "top-5"),
                        .score = 0.0};
    for (const auto& accuracy : accuracies) {
      report.table += table_line("%6lld %8.2f %8.2f", static_cast<long long>(accuracy.k),
                                 accuracy.top1, accuracy.top5);
      // The paper reports the best k.
      report.score = std::max(*report.score, accuracy.top1);
    }
    return report;
  }

 private:
  eval::KnnOptions options_;
};

}  // namespace

std::unique_ptr<Evaluation> make(const eval::KnnOptions& options) {
  return std::make_unique<Knn>(options);
}

}  // namespace ibot::evaluation
