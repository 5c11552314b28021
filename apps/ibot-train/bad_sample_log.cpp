#include "ibot-train/bad_sample_log.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "common/logging.h"
#include "ibot/io/file.h"

namespace ibot::apps {

BadSampleLog::BadSampleLog(data::MultiCropLoader& loader, const std::filesystem::path& output,
                           const dist::Group& group, int64_t share_every_steps, bool resumed)
    : loader_(loader),
      group_(group),
      share_every_steps_(share_every_steps),
      path_(output / (group.rank() == 0
                          ? "bad_samples.jsonl"
                          : "bad_samples.rank" + std::to_string(group.rank()) + ".jsonl")) {
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
    unshared_.push_back(bad.sample);
    log_warning(concat("unreadable image replaced: ", bad.path, ": ", bad.reason));
    try {
      append(bad);
    } catch (const Error& problem) {
      log_warning(problem.what());  // the log of the run has it, too
    }
  }
  if (group_.rank() == 0 && !gray_told_) warn_of_clipped_gray();
  if (group_.size() > 1 && ++steps_ % share_every_steps_ == 0) share();
  return batch;
}

void BadSampleLog::warn_of_clipped_gray() {
  const auto& gray = loader_.clipped_gray();
  if (gray.images == 0) return;
  gray_told_ = true;
  log_warning(concat("data: gray of more than 8 bits is clipped at 255 in ", gray.images,
                     " of the first ", gray.of, " images, such as ", gray.path, " (", gray.notice,
                     "); data.gray_range scales it, `ibot-data verify` counts such images"));
}

// all_gather needs equal sizes: shorter lists are padded to the longest.
void BadSampleLog::share() {
  constexpr int64_t kNone = -1;
  const auto most = torch::tensor(static_cast<int64_t>(unshared_.size()));
  group_.all_reduce_(most, dist::Reduction::kMax);
  unshared_.resize(static_cast<size_t>(most.item<int64_t>()), kNone);
  if (unshared_.empty()) return;
  const auto all = group_.all_gather(torch::tensor(unshared_)).flatten();
  const auto met = all.masked_select(all.ne(kNone)).contiguous();
  loader_.add_bad_samples(
      {met.const_data_ptr<int64_t>(), met.const_data_ptr<int64_t>() + met.numel()});
  unshared_.clear();
}

// The file is created with the first bad image.
void BadSampleLog::append(const data::BadSample& bad) {
  if (!listed_.insert(bad.sample).second) return;
  if (!lines_) lines_.emplace(path_, "sample", std::numeric_limits<int64_t>::max());
  const nlohmann::ordered_json line{
      {"sample", bad.sample}, {"epoch", bad.epoch}, {"path", bad.path}, {"reason", bad.reason}};
  lines_->append(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace ibot::apps
