#include "ibot-train/run_console.h"

#include <iomanip>

#include "common/logging.h"
#include "ibot/base/error.h"

namespace ibot::apps {

RunConsole::RunConsole(int64_t first, int64_t total, int64_t images, int64_t epochs, bool quiet)
    : epochs_(epochs) {
  if (quiet) return;
  progress_.emplace(ProgressOptions{.label = "pre-train",
                                    .unit = "steps",
                                    .total = total,
                                    .first = first,
                                    .item = "images",
                                    .items_per_count = static_cast<double>(images)});
}

void RunConsole::on_step(const train::StepRecord& record) {
  if (!progress_) return;
  progress_->update(
      record.step,
      concat("loss ", std::fixed, std::setprecision(3), record.loss, "  data wait ",
             std::setprecision(0), 100.0 * record.data_wait, " %  mfu ", 100.0 * record.mfu, " %"));
}

void RunConsole::on_epoch(const train::EpochRecord& record) {
  auto line = concat("epoch ", record.epoch + 1, "/", epochs_, "  loss ", std::fixed,
                     std::setprecision(4), record.loss);
  for (const auto& [name, value] : record.terms) {
    line += concat("  ", name, " ", std::fixed, std::setprecision(4), value);
  }
  log_info(line + concat("  nmi ", std::fixed, std::setprecision(3), record.at("nmi")));
}

void RunConsole::on_evaluation(const train::EvaluationRecord& record) {
  std::string line = concat("epoch ", record.epoch + 1, "/", epochs_, "  ", record.name);
  for (const auto& [metric, value] : record.metrics) {
    line += concat("  ", metric, " ", std::fixed, std::setprecision(2), value);
  }
  log_info(line);
}

void RunConsole::on_fault(const train::FaultRecord& record) {
  log_warning(concat("step ", record.step, ": ", record.text));
}

void RunConsole::finish() {
  if (progress_) progress_->finish();
}

}  // namespace ibot::apps
