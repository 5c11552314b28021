#include "common/resume.h"

#include "common/logging.h"
#include "ibot/base/error.h"

namespace ibot::apps {

std::optional<train::Checkpoint> newest_checkpoint(const std::filesystem::path& folder) {
  auto restored = train::restore_newest(folder);
  if (!restored) return std::nullopt;
  for (const auto& damage : restored->damaged) {
    log_warning(concat("damaged checkpoint skipped: ", damage));
  }
  if (!restored->damaged.empty()) {
    log_warning(
        concat("the run resumes from an earlier one: ", restored->checkpoint.source.string()));
  }
  return std::move(restored->checkpoint);
}

}  // namespace ibot::apps
