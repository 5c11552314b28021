#include "ibot-train/bad_sample_log.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "common/logging.h"
#include "ibot/io/file.h"

namespace ibot::apps {

BadSampleLog::BadSampleLog(data::MultiCropLoader& loader, const std::filesystem::path& output,
                           int64_t rank, bool resumed)
    : loader_(loader),
      path_(output / (rank == 0 ? "bad_samples.jsonl"
                                : "bad_samples.rank" + std::to_string(rank) + ".jsonl")) {
  if (!std::filesystem::exists(path_)) return;
  if (!resumed) {
    std::filesystem::remove(path_);
    return;
  }
  std::istringstream lines(io::read_file(path_));
  for (std::string line; std::getline(lines, line);) {
    const auto object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (object.is_object()) listed_.insert(object.value("sample", int64_t{-1}));
  }
}

std::optional<batch::MultiCropBatch> BadSampleLog::next() {
  auto batch = loader_.next();
  for (const auto& bad : loader_.take_bad_samples()) {
    log_warning(concat("unreadable image replaced: ", bad.path, ": ", bad.reason));
    try {
      append(bad);
    } catch (const Error& problem) {
      log_warning(problem.what());  // the log of the run has it, too
    }
  }
  return batch;
}

// The file appears with the first bad image.
void BadSampleLog::append(const data::BadSample& bad) {
  if (!listed_.insert(bad.sample).second) return;
  if (!lines_) lines_.emplace(path_, "sample", std::numeric_limits<int64_t>::max());
  const nlohmann::ordered_json line{
      {"sample", bad.sample}, {"epoch", bad.epoch}, {"path", bad.path}, {"reason", bad.reason}};
  lines_->append(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace ibot::apps
