#include "ibot-eval/segment_console.h"

#include <iomanip>

#include "common/logging.h"
#include "ibot/base/error.h"

namespace ibot::apps {

SegmentConsole::SegmentConsole(const train::RunState& state, int64_t updates)
    : progress_({.label = "segment",
                 .unit = "updates",
                 .total = updates,
                 .first = state.step,
                 .item = "images",
                 .items_per_count = static_cast<double>(state.global_batch)}) {}

SegmentConsole::~SegmentConsole() { progress_.finish(); }

void SegmentConsole::on_step(const train::StepRecord& record) {
  progress_.update(record.step, concat("loss ", std::fixed, std::setprecision(3), record.loss));
}

void SegmentConsole::on_evaluation(const train::EvaluationRecord& record) {
  log_info(concat("update ", record.step, ": mIoU ", std::fixed, std::setprecision(2),
                  record.metrics.at("miou"), "  aAcc ", record.metrics.at("aacc")));
}

void SegmentConsole::on_fault(const train::FaultRecord& record) {
  log_warning(concat("update ", record.step, ": ", record.text));
}

}  // namespace ibot::apps
