#include "ibot-eval/cluster_table.h"
#include "ibot-eval/features.h"
#include "ibot-eval/task.h"
#include "ibot/eval/clustering.h"

namespace ibot::apps {

eval::Report run_kmeans(const TaskRequest& request) {
  auto options = request.weights.config.kmeans;
  const auto banks = image_features(request, "kmeans", {.test_images = options.clusters});
  if (options.clusters == 0) options.clusters = banks.classes;
  const auto features = eval::unit_length(banks.test.features.to(request.device));
  const auto found = eval::kmeans(features, options);
  auto report = feature_report("kmeans", request, eval::option_values(options), banks.identity);
  report.metrics = eval::cluster_metrics(banks.test.labels, found.cluster.to(torch::kCPU));
  print_cluster_metrics(report.metrics);
  report.metrics["inertia"] = found.inertia;
  return report;
}

}  // namespace ibot::apps
