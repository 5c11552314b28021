// Unreadable images of a run, told as they are met.
#pragma once

#include <filesystem>

#include "ibot/data/loader.h"
#include "ibot/train/run_log.h"

namespace ibot::apps {

/// Passes a loader's batches on; every bad image met in them goes to the log and, as one JSON
/// object a line, to OUT/bad_samples.jsonl.
class BadSampleLog : public batch::BatchSource<batch::MultiCropBatch> {
 public:
  BadSampleLog(data::MultiCropLoader& loader, const std::filesystem::path& output);
  std::optional<batch::MultiCropBatch> next() override;

 private:
  data::MultiCropLoader& loader_;
  std::filesystem::path path_;
  std::optional<train::JsonLines> lines_;
};

}  // namespace ibot::apps
