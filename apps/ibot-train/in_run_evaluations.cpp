#include "ibot-train/in_run_evaluations.h"

#include "common/extraction_of_config.h"
#include "common/logging.h"
#include "common/run_main.h"
#include "ibot/dist/group.h"

namespace ibot::apps {
namespace {

evaluation::InRun open(const config::RunConfig& config, std::vector<evaluation::Planned> tasks) {
  return open_input(
      [&] { return evaluation::InRun(std::move(tasks), config.eval.path, config.train.epochs); });
}

/// Options of k-NN are in the section `eval`.
Identity identity_of(const config::RunConfig& config, const evaluation::InRun& in_run) {
  const auto& task = in_run.tasks().front();
  const auto& about = task.evaluation->about();
  // Version 1 compared classes by index instead of name.
  Identity identity(about.name + " of a run", about.version + 1);
  if (about.reads.labeled_images()) identity.add_images(*in_run.images());
  if (task.data != nullptr) identity.add_hash("data", task.data->hash());
  identity.add_keys(result_values(config),
                    {about.name == "knn" ? "eval." : about.name + ".", "eval.resize_size",
                     "eval.crop_size", "augment.mean", "augment.std", "data."},
                    result_values(config::RunConfig()));
  return identity;
}

}  // namespace

InRunEvaluations::InRunEvaluations(const config::RunConfig& config,
                                   std::vector<evaluation::Planned> tasks)
    : in_run_(open(config, std::move(tasks))),
      extraction_(extraction_options(config, eval::resolved({}, false, config.backbone))),
      backbone_(config.backbone),
      identity_(identity_of(config, in_run_)) {
  if (in_run_.images() == nullptr) return;
  for (const auto& line : in_run_.images()->notes()) log_warning(line);
}

std::optional<train::EvaluationRecord> InRunEvaluations::evaluate(const models::Network& teacher,
                                                                  torch::Device device,
                                                                  const EvaluationTime& now) const {
  const evaluation::Subject subject{
      .options = backbone_, .backbone = teacher.backbone, .head = teacher.head, .device = device};
  evaluation::Source source(
      subject, in_run_.images(), extraction_,
      {.progress = [&](const evaluation::Stage&) { now.glance(); }, .warning = log_warning});
  const auto due = in_run_.due(now.epoch);
  for (const auto* task : due) {
    if (!chooses(*task)) tell(*task, source, now);
  }
  if (due.empty() || !chooses(*due.front())) return std::nullopt;
  return record_of(*due.front(), source, now);
}

train::EvaluationRecord InRunEvaluations::record_of(const Task& task, evaluation::Source& source,
                                                    const EvaluationTime& now) const {
  auto report = evaluation::evaluate(*task.evaluation, source, task.data.get());
  train::EvaluationRecord record{.step = now.step,
                                 .epoch = now.epoch,
                                 .name = report.task,
                                 .metrics = std::move(report.metrics)};
  if (!chooses(task)) return record;
  record.score = report.score;
  record.identity = identity_.text();
  return record;
}

void InRunEvaluations::tell(const Task& task, evaluation::Source& source,
                            const EvaluationTime& now) const {
  try {
    const auto record = record_of(task, source, now);
    for (auto* observer : now.observers) observer->on_evaluation(record);
  } catch (const dist::PeerError&) {
    throw;  // training cannot continue without the rank
  } catch (const std::exception& error) {
    const auto text = concat("evaluation ", task.evaluation->about().name, " after epoch ",
                             now.epoch + 1, " failed: ", error.what(), "; training continues");
    for (auto* observer : now.observers) {
      observer->on_fault({now.step, now.epoch, "evaluation_failed", text});
    }
  }
}

}  // namespace ibot::apps
