// Log of a run's unreadable images.
#pragma once

#include <filesystem>
#include <set>
#include <vector>

#include "ibot/dist/group.h"
#include "ibot/loading/loader.h"
#include "ibot/train/run_log.h"

namespace ibot::apps {

/// Forwards a loader's batches. Every bad image in them is logged and written, as one JSON object
/// per line, to OUT/bad_samples.jsonl; ranks other than 0 have their own
/// OUT/bad_samples.rankN.jsonl. A resumed run appends new ones to that file, any other run starts
/// it afresh. Every `share_every_steps` batches ranks exchange their findings, so that the limit
/// applies to all together; all ranks make the same calls.
///
/// Rank 0 warns once about clipped gray, at the first batch that has any.
class BadSampleLog : public batch::BatchSource<batch::MultiCropBatch> {
 public:
  BadSampleLog(data::MultiCropLoader& loader, const std::filesystem::path& output,
               const dist::Group& group, int64_t share_every_steps, bool resumed);
  std::optional<batch::MultiCropBatch> next() override;

 private:
  void append(const data::BadSample& bad);
  void share();
  void warn_of_clipped_gray();

  data::MultiCropLoader& loader_;
  dist::Group group_;
  int64_t share_every_steps_;
  int64_t steps_ = 0;
  std::filesystem::path path_;
  bool gray_told_ = false;
  std::set<int64_t> listed_;       // samples in the file
  std::vector<int64_t> unshared_;  // samples not yet sent to other ranks
  std::optional<train::JsonLines> lines_;
};

}  // namespace ibot::apps
