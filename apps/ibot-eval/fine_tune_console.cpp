#include "ibot-eval/fine_tune_console.h"

#include <iomanip>

#include "common/logging.h"
#include "ibot/base/error.h"

namespace ibot::apps {

FineTuneConsole::FineTuneConsole(const std::string& task, const train::RunState& state,
                                 int64_t epochs)
    : epochs_(epochs),
      progress_({.label = task,
                 .unit = "steps",
                 .total = epochs * state.steps_per_epoch,
                 .first = state.step,
                 .item = "images",
                 .items_per_count = static_cast<double>(state.global_batch)}) {}

FineTuneConsole::~FineTuneConsole() { progress_.finish(); }

void FineTuneConsole::on_step(const train::StepRecord& record) {
  progress_.update(record.step, concat("loss ", std::fixed, std::setprecision(3), record.loss));
}

void FineTuneConsole::on_epoch(const train::EpochRecord& record) {
  line_ = concat("epoch ", record.epoch + 1, "/", epochs_, "  loss ", std::fixed,
                 std::setprecision(4), record.loss);
}

void FineTuneConsole::on_evaluation(const train::EvaluationRecord& record) {
  line_ += concat("  top-1 ", std::fixed, std::setprecision(2), record.metrics.at("top1"));
  const auto averaged = record.metrics.find("ema_top1");
  if (averaged == record.metrics.end()) return;
  line_ += concat("  of the average ", std::fixed, std::setprecision(2), averaged->second);
}

void FineTuneConsole::on_epoch_end() { log_info(line_); }

void FineTuneConsole::on_fault(const train::FaultRecord& record) {
  log_warning(concat("step ", record.step, ": ", record.text));
}

}  // namespace ibot::apps
