#include "ibot-train/bad_sample_log.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "common/logging.h"

namespace ibot::apps {

BadSampleLog::BadSampleLog(data::MultiCropLoader& loader, const std::filesystem::path& output)
    : loader_(loader), path_(output / "bad_samples.jsonl") {}

std::optional<batch::MultiCropBatch> BadSampleLog::next() {
  auto batch = loader_.next();
  for (const auto& bad : loader_.take_bad_samples()) {
    // The file appears with the first bad image; lines of a run that goes on are kept.
    if (!lines_) lines_.emplace(path_, "sample", std::numeric_limits<int64_t>::max());
    const nlohmann::ordered_json line{
        {"sample", bad.sample}, {"epoch", bad.epoch}, {"path", bad.path}, {"reason", bad.reason}};
    lines_->append(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    log_warning("unreadable image replaced: " + bad.reason);
  }
  return batch;
}

}  // namespace ibot::apps
