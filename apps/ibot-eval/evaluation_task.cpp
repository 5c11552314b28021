#include <torch/utils.h>

#include "common/labeled_images.h"
#include "common/run_main.h"
#include "ibot-eval/feature_files.h"
#include "ibot-eval/features.h"
#include "ibot-eval/stage_progress.h"
#include "ibot-eval/task.h"
#include "ibot-eval/task_identity.h"
#include "ibot/evaluation/evaluate.h"
#include "ibot/evaluation/evaluations.h"
#include "ibot/models/network.h"

namespace ibot::apps {
namespace {

using evaluation::Evaluation;

std::unique_ptr<Evaluation> evaluation_of(const config::RunConfig& config,
                                          const std::string& name) {
  auto options = config.eval;
  options.tasks = {name};
  return std::move(evaluation::planned(options, config.evaluations).front().evaluation);
}

eval::Report on_loaded_features(const Evaluation& evaluation, const TaskRequest& request) {
  const auto banks = read_features(request.load_features);
  open_input([&] {
    evaluation::check_images(evaluation, banks.train.labels.size(0), banks.test.labels.size(0),
                             request.load_features);
  });
  const auto subject = subject_of(request);
  StageProgress progress;
  auto report =
      evaluation.run({subject, banks.train, banks.test, banks.classes}, progress.listener());
  report.task = evaluation.about().name;
  report.counts = {{"train_images", banks.train.labels.size(0)},
                   {"test_images", banks.test.labels.size(0)},
                   {"classes", banks.classes}};
  report.identity = loaded_identity(banks, evaluation.about()).summary();
  return report;
}

eval::Report on_data(const Evaluation& evaluation, const TaskRequest& request) {
  const auto& name = evaluation.about().name;
  const auto& reads = evaluation.about().reads;
  auto subject = subject_of(request);
  IBOT_CHECK_AS(RequestError, reads.features_alone() || subject.backbone != nullptr, name,
                ": expected a network, got pixels");
  if (reads.head) subject.head = head_of(request, name);
  std::optional<LabeledImages> images;
  if (reads.features()) {
    const auto& config = request.weights.config;
    images.emplace(request.data, config.dataset, config.run.data);
    open_input([&] {
      evaluation::check_images(evaluation, images->train().size(), images->test().size(),
                               request.data);
    });
  }
  const auto data = open_input([&] { return evaluation.open(request.data); });
  StageProgress progress;
  evaluation::Source source(subject, images ? &*images : nullptr, extraction_options(request),
                            progress.listener(), request.output);
  if (!request.dump_features.empty()) {
    write_features(request.dump_features, {source.features(data::Split::kTrain),
                                           source.features(data::Split::kVal), images->classes()});
  }
  return evaluation::evaluate(evaluation, source, data.get());
}

}  // namespace

models::ProjectionHead head_of(const TaskRequest& request, const std::string& task) {
  const auto& config = request.weights.config;
  const auto& backbone = request.weights.backbone;
  const auto& weights = request.weights.head;
  models::ProjectionHead head(config.run.head, backbone->embed_dim(),
                              config.run.head.shared_teacher, false);
  const torch::NoGradGuard no_grad;
  for (const auto& [name, tensor] : models::named_state(*head)) {
    const auto found = weights.find(name);
    IBOT_CHECK_AS(RequestError, found != weights.end(), task, ": expected a projection head, but ",
                  "head.", name,
                  " is not among the weights; backbones alone do not predict clusters");
    IBOT_CHECK_AS(RequestError, found->second.sizes() == tensor.sizes(), task, ": head.", name,
                  ": expected shape ", tensor.sizes(), ", got ", found->second.sizes(),
                  "; the head keys must be those of the run");
    torch::Tensor(tensor).copy_(found->second);
  }
  head->to(request.device);
  return head;
}

eval::Report run_evaluation(const TaskRequest& request, const std::string& name) {
  const auto evaluation = evaluation_of(request.weights.config.run, name);
  auto report = request.load_features.empty() ? on_data(*evaluation, request)
                                              : on_loaded_features(*evaluation, request);
  return report;
}

void prepare_evaluation(const TaskRequest& request, const std::string& name) {
  const auto evaluation = evaluation_of(request.weights.config.run, name);
  const auto& reads = evaluation->about().reads;
  if (reads.features()) share_features(request, reads);
  if (!reads.shared) return;
  const auto data = open_input([&] { return evaluation->open(request.data); });
  const auto subject = subject_of(request);
  evaluation::Source source(subject, nullptr, extraction_options(request));
  evaluation::prepare(*evaluation, source, data.get());
}

}  // namespace ibot::apps
