#include <torch/utils.h>

#include "common/labeled_images.h"
#include "common/run_main.h"
#include "ibot-eval/cluster_table.h"
#include "ibot-eval/features.h"
#include "ibot-eval/task.h"
#include "ibot-eval/task_identity.h"
#include "ibot/eval/clustering.h"
#include "ibot/models/network.h"

namespace ibot::apps {
namespace {

// Class tokens of this many images at a time.
constexpr int64_t kRows = 1024;

/// The teacher's projection head, with its weights.
models::ProjectionHead head_of(const TaskRequest& request) {
  const auto& config = request.weights.config;
  const auto& backbone = request.weights.backbone;
  const auto& weights = request.weights.head;
  IBOT_CHECK_AS(RequestError, backbone != nullptr, "cluster: expected a network, got pixels");
  models::ProjectionHead head(config.run.head, backbone->embed_dim(),
                              config.run.head.shared_teacher, false);
  const torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : models::named_state(*head)) {
    const auto found = weights.find(name);
    IBOT_CHECK_AS(RequestError, found != weights.end(), "cluster: expected a projection head, but ",
                  "head.", name,
                  " is not among the weights; backbones alone do not predict clusters");
    IBOT_CHECK_AS(RequestError, found->second.sizes() == tensor.sizes(), "cluster: head.", name,
                  ": expected shape ", tensor.sizes(), ", got ", found->second.sizes(),
                  "; the head keys must be those of the run");
    torch::Tensor(tensor).copy_(found->second);
  }
  head->to(request.device);
  head->eval();
  return head;
}

/// The prototype with the largest score for each class token.
torch::Tensor predicted(models::ProjectionHead& head, const torch::Tensor& tokens,
                        torch::Device device) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> parts;
  for (const auto& rows : tokens.split(kRows)) {
    parts.push_back(head->class_logits(head->trunk(rows.to(device))).argmax(-1).to(torch::kCPU));
  }
  return torch::cat(parts);
}

}  // namespace

eval::Report run_cluster(const TaskRequest& request) {
  auto head = head_of(request);
  const LabeledImages images(request.data, request.weights.config.dataset);
  auto identity = task_identity(request, images, "cluster");
  identity.add_hash("weights of the head", request.weights.head_hash);
  const auto bank = bank_of(request, images, data::Split::kVal);
  eval::check_finite(bank.features, "cluster", "test features");
  auto report = feature_report("cluster", request, {}, identity.summary());
  report.metrics =
      eval::cluster_metrics(bank.labels, predicted(head, bank.features, request.device));
  print_cluster_metrics(report.metrics);
  return report;
}

}  // namespace ibot::apps
