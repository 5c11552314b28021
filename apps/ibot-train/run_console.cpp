#include "ibot-train/run_console.h"

#include <algorithm>
#include <iomanip>
#include <map>

#include "common/logging.h"
#include "ibot/base/error.h"
#include "ibot/base/natural_order.h"

namespace ibot::apps {

RunConsole::RunConsole(const ConsoleOptions& options)
    : options_(options),
      progress_({.label = "pre-train",
                 .unit = "steps",
                 .total = options.total,
                 .first = options.first,
                 .item = "images",
                 .items_per_count = static_cast<double>(options.images)}) {
  on_progress(options.first);
}

std::string RunConsole::epoch_of(int64_t epoch) const {
  return concat("epoch ", std::min(epoch + 1, options_.epochs), "/", options_.epochs);
}

void RunConsole::on_progress(int64_t step) {
  progress_.update(step, epoch_of(step / options_.steps_per_epoch) + loss_, speed_);
}

void RunConsole::on_step(const train::StepRecord& record) {
  if (record.health) health_ = record.health;
  loss_ = concat(", loss ", std::fixed, std::setprecision(3), record.loss);
  speed_ = concat("data wait ", std::fixed, std::setprecision(0), 100.0 * record.data_wait, " %");
  if (record.mfu > 0)
    speed_ += concat(", mfu ", std::fixed, std::setprecision(0), 100.0 * record.mfu, " %");
  log_debug(concat("step ", record.step, loss_, ", lr ", record.lr, ", gradient norm ",
                   record.grad_norm, ", ", record.images_per_s, " images/s, ", speed_));
}

void RunConsole::on_epoch(const train::EpochRecord& record) {
  auto line =
      concat(epoch_of(record.epoch), "  loss ", std::fixed, std::setprecision(4), record.loss);
  for (const auto& [name, value] : record.terms) {
    line += concat("  ", name, " ", std::fixed, std::setprecision(4), value);
  }
  if (health_) {
    line += concat("  effective rank ", std::fixed, std::setprecision(1), health_->feature_rank,
                   "  target entropy ", std::setprecision(2), health_->entropy_cls);
  }
  if (options_.labeled) {
    line += concat("  nmi ", std::fixed, std::setprecision(3), record.at("nmi"));
  }
  log_notice(line);
}

void RunConsole::on_evaluation(const train::EvaluationRecord& record) {
  std::string line = concat(epoch_of(record.epoch), "  ", record.name);
  const std::map<std::string, double, NaturalOrder> sorted(record.metrics.begin(),
                                                           record.metrics.end());
  for (const auto& [metric, value] : sorted) {
    line += concat("  ", metric, " ", std::fixed, std::setprecision(2), value);
  }
  log_notice(line);
}

void RunConsole::on_checkpoint(const std::filesystem::path& file) {
  log_debug("saved " + file.string());
}

void RunConsole::on_fault(const train::FaultRecord& record) {
  log_warning(concat("step ", record.step, ": ", record.text));
}

void RunConsole::finish() { progress_.finish(); }

}  // namespace ibot::apps
