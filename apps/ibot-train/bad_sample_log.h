// Unreadable images of a run, told as they are met.
#pragma once

#include <filesystem>
#include <set>
#include <vector>

#include "ibot/dist/group.h"
#include "ibot/loading/loader.h"
#include "ibot/train/run_log.h"

namespace ibot::apps {

/// Passes a loader's batches on; every bad image met in them goes to the log and, as one JSON
/// object a line, to OUT/bad_samples.jsonl, of another rank than 0 to its own
/// OUT/bad_samples.rankN.jsonl. A resumed run adds to that file what it does not name
/// yet, any other begins it anew. Every `share_every_steps` batches the ranks tell each other which
/// they met, so that the limit is one on what all have met together; all take the same calls.
///
/// Rank 0 warns once of gray that is cut off, with the first batch that has any.
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
  std::vector<int64_t> unshared_;  // samples that other ranks have not been told of
  std::optional<train::JsonLines> lines_;
};

}  // namespace ibot::apps
