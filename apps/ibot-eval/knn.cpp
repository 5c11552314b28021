#include "ibot/eval/knn.h"

#include <algorithm>
#include <cstdio>

#include "ibot-eval/features.h"
#include "ibot-eval/task.h"

namespace ibot::apps {

eval::Report run_knn(const TaskRequest& request) {
  const auto& config = request.weights.config;
  // Refused before any feature is computed: images too few for what is asked, or for any default.
  const auto least = eval::numbers_of_neighbours(config.run.eval.k, 0);
  const auto banks = image_features(
      request, "knn", {.train_images = *std::max_element(least.begin(), least.end())});
  const eval::KnnOptions options{
      eval::numbers_of_neighbours(config.run.eval.k, banks.train.labels.size(0)),
      config.run.eval.temperature};
  auto test = banks.test;
  test.features = test.features.to(request.device);
  const auto accuracies = eval::classify_knn(banks.train, test, options);

  std::printf("%6s %8s %8s\n", "k", "top-1", "top-5");
  for (const auto& accuracy : accuracies) {
    std::printf("%6lld %8.2f %8.2f\n", static_cast<long long>(accuracy.k), accuracy.top1,
                accuracy.top5);
  }
  auto report = feature_report("knn", request, eval::option_values(options), banks.identity);
  report.metrics = eval::knn_metrics(accuracies);
  return report;
}

}  // namespace ibot::apps
