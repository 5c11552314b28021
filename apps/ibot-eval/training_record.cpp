#include "ibot-eval/training_record.h"

#include <iomanip>

#include "common/logging.h"
#include "ibot/base/error.h"

namespace ibot::apps {

TrainingConsole::TrainingConsole(const std::string& task, const train::RunState& state,
                                 int64_t steps, std::vector<ShownMetric> metrics)
    : epochs_((steps + state.steps_per_epoch - 1) / state.steps_per_epoch),
      metrics_(std::move(metrics)),
      progress_({.label = task,
                 .unit = "steps",
                 .total = steps,
                 .first = state.step,
                 .item = "images",
                 .items_per_count = static_cast<double>(state.global_batch)}) {}

TrainingConsole::~TrainingConsole() { progress_.finish(); }

void TrainingConsole::on_step(const train::StepRecord& record) {
  progress_.update(record.step, concat("loss ", std::fixed, std::setprecision(3), record.loss));
}

void TrainingConsole::on_epoch(const train::EpochRecord& record) {
  line_ = concat("epoch ", record.epoch + 1, "/", epochs_, "  loss ", std::fixed,
                 std::setprecision(4), record.loss);
}

void TrainingConsole::on_evaluation(const train::EvaluationRecord& record) {
  for (const auto& [key, name, digits] : metrics_) {
    const auto found = record.metrics.find(key);
    if (found == record.metrics.end()) continue;
    line_ += concat("  ", name, " ", std::fixed, std::setprecision(digits), found->second);
  }
}

void TrainingConsole::on_epoch_end() { log_notice(line_); }

void TrainingConsole::on_fault(const train::FaultRecord& record) {
  log_warning(concat("step ", record.step, ": ", record.text));
}

TrainingRecord::TrainingRecord(const TaskRequest& request, const train::RunState& state,
                               const RecordOptions& options) {
  if (request.group.rank() > 0) return;
  shown_.emplace(options.task, state, options.steps, options.metrics);
  if (request.output.empty()) return;
  files_.emplace(request.output, state.step, state.steps_per_epoch, log_warning,
                 train::LogKeys{.weight_decay = "weight_decay", .constants = options.constants});
}

std::vector<train::Observer*> TrainingRecord::observers() {
  std::vector<train::Observer*> all;
  if (shown_) all.push_back(&*shown_);
  if (files_) all.push_back(&*files_);
  return all;
}

}  // namespace ibot::apps
