#include "ibot-eval/detect_console.h"

#include <iomanip>

#include "common/logging.h"
#include "ibot/base/error.h"

namespace ibot::apps {

DetectConsole::DetectConsole(const train::RunState& state, int64_t epochs)
    : epochs_(epochs),
      progress_({.label = "detect",
                 .unit = "steps",
                 .total = epochs * state.steps_per_epoch,
                 .first = state.step,
                 .item = "images",
                 .items_per_count = static_cast<double>(state.global_batch)}) {}

DetectConsole::~DetectConsole() { progress_.finish(); }

void DetectConsole::on_step(const train::StepRecord& record) {
  progress_.update(record.step, concat("loss ", std::fixed, std::setprecision(3), record.loss));
}

void DetectConsole::on_epoch(const train::EpochRecord& record) {
  line_ = concat("epoch ", record.epoch + 1, "/", epochs_, "  loss ", std::fixed,
                 std::setprecision(4), record.loss);
}

void DetectConsole::on_evaluation(const train::EvaluationRecord& record) {
  for (const auto& [name, shown] : {std::pair{"box_ap", "box AP "},
                                    {"box_ap50", "AP50 "},
                                    {"mask_ap", "mask AP "},
                                    {"mask_ap50", "AP50 "}}) {
    const auto found = record.metrics.find(name);
    if (found == record.metrics.end()) continue;
    line_ += concat("  ", shown, std::fixed, std::setprecision(1), found->second);
  }
}

void DetectConsole::on_epoch_end() { log_info(line_); }

void DetectConsole::on_fault(const train::FaultRecord& record) {
  log_warning(concat("step ", record.step, ": ", record.text));
}

}  // namespace ibot::apps
