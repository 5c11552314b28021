#include <torch/utils.h>

#include "evaluation/table.h"
#include "ibot/eval/clustering.h"
#include "ibot/eval/evaluation_mode.h"
#include "ibot/evaluation/evaluations.h"

namespace ibot::evaluation {
namespace {

// Class tokens of this many images at a time.
constexpr int64_t kRows = 1024;

/// The prototype with the largest score for each class token.
torch::Tensor predicted(models::ProjectionHead head, const torch::Tensor& tokens,
                        torch::Device device) {
  const torch::NoGradGuard no_grad;
  const eval::EvaluationMode evaluation_mode(*head);
  std::vector<torch::Tensor> parts;
  for (const auto& rows : tokens.split(kRows)) {
    // Of raw scores: the reference's prediction.
    parts.push_back(head->class_logits(head->trunk(rows.to(device))).argmax(-1).to(torch::kCPU));
  }
  return torch::cat(parts);
}

class Cluster : public Evaluation {
 public:
  Cluster()
      : Evaluation({"cluster",
                    "the projection head's prototypes against the classes of val/",
                    {.test_features = true, .head = true}}) {}

  eval::Report run(const Inputs& inputs, const Listener&) const override {
    const auto& features = inputs.test.features;
    eval::check_finite(features, "cluster", "test features");
    eval::Report report{
        .metrics = eval::cluster_metrics(
            inputs.test.labels, predicted(inputs.subject.head, features, inputs.subject.device))};
    report.table = cluster_table(report.metrics);
    report.score = report.metrics.at("acc");
    return report;
  }
};

}  // namespace

std::unique_ptr<Evaluation> make(const eval::ClusterOptions&) {
  return std::make_unique<Cluster>();
}

}  // namespace ibot::evaluation
