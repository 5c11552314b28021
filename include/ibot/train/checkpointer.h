// Writes a run's checkpoints in the background and prunes old ones.
#pragma once

#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ibot/train/checkpoint.h"

namespace ibot::train {

/// `folder` exists. Rank 0 writes; all ranks make the same calls.
struct CheckpointerOptions {
  std::filesystem::path folder;
  int64_t keep_last = 2;
  int64_t rank = 0;
  int64_t world_size = 1;
  int64_t global_batch = 1;
};

/// Result of a write; `problem` is empty if it succeeded.
struct SaveResult {
  int64_t step = 0;
  std::filesystem::path file;
  std::string problem;
  double seconds = 0.0;
};

class Snapshot;

/// Maintains FOLDER/step-00001234.safetensors with manifests, `last.safetensors` as a link to the
/// newest, and further named links, with manifests, to those to keep. Each file is whole or absent;
/// an old one is removed only after a new one is complete. One write at a time, in a background
/// thread, from a copy of the tensors.
class Checkpointer {
 public:
  explicit Checkpointer(CheckpointerOptions options);
  /// Waits for a pending write.
  ~Checkpointer();
  Checkpointer(const Checkpointer&) = delete;
  Checkpointer& operator=(const Checkpointer&) = delete;

  /// Declares that the run resumes from `checkpoint`. If that is a file of the folder, those of
  /// earlier steps count as this run's too, and steps that a kill may have left undone after it was
  /// written are completed: it becomes the last one and gets its further names. Checkpoints of
  /// other runs in the folder are removed at the first save. Throws Error if a name cannot be
  /// written.
  void adopt(const Checkpoint& checkpoint, const std::vector<std::string>& names);

  /// Copies the tensors (asynchronously from a GPU) and starts to write them. `names` are further
  /// names of the file, such as "best". No write may be pending.
  void start(Checkpoint checkpoint, std::vector<std::string> names);

  /// The result of the write if it has finished; each result is returned once.
  std::optional<SaveResult> finished();
  /// Waits for the pending write and returns its result; nullopt if none is pending.
  std::optional<SaveResult> wait();

  /// The newest undamaged checkpoint of this run at `step` or earlier; no write may be pending.
  std::optional<Checkpoint> newest(int64_t step) const;

  /// FOLDER/last.safetensors
  std::filesystem::path last() const { return options_.folder / "last.safetensors"; }

 private:
  SaveResult write(Checkpoint checkpoint, const std::vector<std::string>& names) const;
  void promote(const std::filesystem::path& file, const std::vector<std::string>& names) const;
  void prune() const;

  CheckpointerOptions options_;
  std::set<int64_t> steps_;  // of this run's checkpoints, newest last
  int64_t writing_ = 0;
  std::unique_ptr<Snapshot> snapshot_;
  std::future<SaveResult> pending_;
};

}  // namespace ibot::train
