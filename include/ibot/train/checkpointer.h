// Writes a run's checkpoints while it goes on, and keeps the right ones.
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

/// `folder` exists. Of several ranks the first one writes; all of them take the same calls.
struct CheckpointerOptions {
  std::filesystem::path folder;
  int64_t keep_last = 2;
  int64_t rank = 0;
  int64_t world_size = 1;
  int64_t global_batch = 1;
};

/// What became of a write: `problem` is empty when the checkpoint stands.
struct SaveResult {
  int64_t step = 0;
  std::filesystem::path file;
  std::string problem;
  double seconds = 0.0;
};

class Snapshot;

/// FOLDER/step-00001234.safetensors and its manifest, `last.safetensors` as a further name of the
/// newest, and further names, with manifests, of those to keep. Each is whole or absent; an old one
/// goes when a new one stands. One write at a time, in a thread, from a copy of the tensors.
class Checkpointer {
 public:
  explicit Checkpointer(CheckpointerOptions options);
  /// Waits for a write under way.
  ~Checkpointer();
  Checkpointer(const Checkpointer&) = delete;
  Checkpointer& operator=(const Checkpointer&) = delete;

  /// Says that the run goes on from `checkpoint`. Where that is a file of the folder, those of
  /// earlier steps count as this run's too, and what a kill may have left undone after it was
  /// written is done: it becomes the last one and takes its further names. Checkpoints of other
  /// runs in the folder go at the first save. Throws Error where a name cannot be written.
  void adopt(const Checkpoint& checkpoint, const std::vector<std::string>& names);

  /// Copies the tensors and starts to write them; a GPU copies when it comes to it. `names` are
  /// further ones for the file, such as "best". No write may be under way.
  void start(Checkpoint checkpoint, std::vector<std::string> names);

  /// The result of the write if it has ended since start; tells of each once.
  std::optional<SaveResult> finished();
  /// The same at the write's end; nothing when none is under way.
  std::optional<SaveResult> wait();

  /// The newest whole checkpoint of this run at `step` or before; no write may be under way.
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
