// What a library tells of an evaluation, shown.
#pragma once

#include <optional>
#include <string>

#include "common/logging.h"
#include "common/progress.h"
#include "ibot/evaluation/extraction.h"

namespace ibot::apps {

/// One progress line a stage; warnings in the log. Must outlive its listener().
class StageProgress {
 public:
  evaluation::Listener listener() {
    return {.progress = [this](const evaluation::Stage& stage) { show(stage); },
            .warning = log_warning};
  }

 private:
  void show(const evaluation::Stage& stage) {
    if (!progress_) {
      progress_.emplace(ProgressOptions{
          .label = stage.label, .unit = stage.unit, .total = stage.total, .item = stage.unit});
    }
    progress_->update(stage.done, stage.note);
    if (!stage.finished) return;
    progress_->finish();
    progress_.reset();
  }

  std::optional<Progress> progress_;
};

}  // namespace ibot::apps
