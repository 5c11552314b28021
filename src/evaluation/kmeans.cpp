#include "evaluation/table.h"
#include "ibot/eval/clustering.h"
#include "ibot/evaluation/evaluations.h"

namespace ibot::evaluation {
namespace {

class Kmeans : public Evaluation {
 public:
  explicit Kmeans(const eval::KmeansOptions& options)
      : Evaluation({"kmeans", "k-means of val/ against its classes", {.test_features = true}}),
        options_(options) {}

  Least least() const override {
    return {.test_images = options_.clusters,
            .key = "kmeans.clusters",
            .mend = "ask for fewer clusters"};
  }

  eval::Report run(const Inputs& inputs, const Listener&) const override {
    auto options = options_;
    if (options.clusters == 0) options.clusters = inputs.classes;
    // On the unit sphere, where Euclidean distance orders as cosine similarity does.
    const auto features = eval::unit_length(inputs.test.features.to(inputs.subject.device));
    const auto found = eval::kmeans(features, options);
    eval::Report report{
        .metrics = eval::cluster_metrics(inputs.test.labels, found.cluster.to(torch::kCPU)),
        .options = eval::option_values(options)};
    report.table = cluster_table(report.metrics);
    report.score = report.metrics.at("acc");
    report.metrics["inertia"] = found.inertia;
    return report;
  }

 private:
  eval::KmeansOptions options_;
};

}  // namespace

std::unique_ptr<Evaluation> make(const eval::KmeansOptions& options) {
  return std::make_unique<Kmeans>(options);
}

}  // namespace ibot::evaluation
