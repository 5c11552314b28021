// Unreadable images of a run, told as they are met.
#pragma once

#include <filesystem>
#include <set>

#include "ibot/data/loader.h"
#include "ibot/train/run_log.h"

namespace ibot::apps {

/// Passes a loader's batches on; every bad image met in them goes to the log and, as one JSON
/// object a line, to OUT/bad_samples.jsonl, of another rank than 0 to its own
/// OUT/bad_samples.rankN.jsonl. A resumed run adds to that file what it does not name
/// yet, any other begins it anew.
class BadSampleLog : public batch::BatchSource<batch::MultiCropBatch> {
 public:
  BadSampleLog(data::MultiCropLoader& loader, const std::filesystem::path& output, int64_t rank,
               bool resumed);
  std::optional<batch::MultiCropBatch> next() override;

 private:
  void append(const data::BadSample& bad);

  data::MultiCropLoader& loader_;
  std::filesystem::path path_;
  std::set<int64_t> listed_;  // samples in the file
  std::optional<train::JsonLines> lines_;
};

}  // namespace ibot::apps
