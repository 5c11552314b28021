#include "ibot/eval/knn.h"

#include <cstdio>

#include "ibot-eval/features.h"
#include "ibot-eval/task.h"

namespace ibot::apps {

eval::Report run_knn(const TaskRequest& request) {
  const auto& config = request.weights.config;
  const eval::KnnOptions options{config.run.eval.k, config.run.eval.temperature};
  const auto train = folder_features(request, "train");
  const auto test = folder_features(request, "val");
  const auto accuracies = eval::classify_knn(train, test, options);

  std::printf("%6s %8s %8s\n", "k", "top-1", "top-5");
  for (const auto& accuracy : accuracies) {
    std::printf("%6lld %8.2f %8.2f\n", static_cast<long long>(accuracy.k), accuracy.top1,
                accuracy.top5);
  }
  eval::Report report{"knn", eval::knn_metrics(accuracies), eval::option_values(options), "", ""};
  if (request.weights.backbone != nullptr) {
    report.options.merge(eval::option_values(config.features));
  }
  report.options["resize_size"] = config.run.eval.resize_size;
  report.options["crop_size"] = config.run.eval.crop_size;
  return report;
}

}  // namespace ibot::apps
