#include "ibot/train/checkpointer.h"

#include <chrono>
#include <cstdio>
#include <utility>

#include "ibot/base/error.h"
#include "ibot/base/hash.h"
#include "ibot/base/version.h"
#include "ibot/train/manifest.h"
#include "train/snapshot.h"

namespace ibot::train {
namespace {

namespace fs = std::filesystem;

std::string hash_of(const std::string& text) {
  Hash hash;
  hash.add(text);
  return hash.hex();
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Entries of a folder, as far as it can be listed; a range-for would throw on an error.
std::vector<fs::path> list(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code problem;
  fs::directory_iterator at(folder, problem);
  for (; !problem && at != fs::directory_iterator(); at.increment(problem)) {
    paths.push_back(at->path());
  }
  return paths;
}

/// Removes the leftovers of killed writes.
void clear_leftovers(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& path : list(folder)) {
    if (path.extension() == ".tmp") fs::remove(path, ignored);
  }
}

}  // namespace

Checkpointer::Checkpointer(CheckpointerOptions options)
    : options_(std::move(options)), snapshot_(std::make_unique<Snapshot>()) {}

Checkpointer::~Checkpointer() {
  // The thread uses this object.
  if (pending_.valid()) pending_.wait();
}

void Checkpointer::adopt(const Checkpoint& checkpoint, const std::vector<std::string>& names) {
  // What follows a resumed step belongs to the steps that will be taken again.
  steps_.clear();
  const auto file = step_file(options_.folder, checkpoint.run.step);
  std::error_code absent;
  const bool ours = fs::equivalent(checkpoint.source, file, absent);
  if (!ours || !fs::exists(manifest_of(file), absent)) return;
  for (const auto& path : list(options_.folder)) {
    long long step = 0;
    const auto name = path.filename();
    if (std::sscanf(name.c_str(), "step-%lld.json", &step) == 1 && step <= checkpoint.run.step) {
      steps_.insert(step);
    }
  }
  if (options_.rank == 0) promote(file, names);
}

void Checkpointer::start(Checkpoint checkpoint, std::vector<std::string> names) {
  writing_ = checkpoint.run.step;
  // Other ranks only count the steps: all must agree on the checkpoint for a rollback.
  if (options_.rank != 0) {
    steps_.insert(writing_);
    return;
  }
  // The snapshot reuses its memory, so the previous write must have ended; `this` outlives the
  // thread, since the destructor waits.
  snapshot_->take(checkpoint.tensors);
  checkpoint.tensors.clear();
  pending_ = std::async(std::launch::async, [this, checkpoint = std::move(checkpoint),
                                             names = std::move(names)]() mutable {
    checkpoint.tensors = snapshot_->tensors();
    return write(std::move(checkpoint), names);
  });
}

std::optional<SaveResult> Checkpointer::finished() {
  if (!pending_.valid()) return std::nullopt;
  if (pending_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return std::nullopt;
  return wait();
}

std::optional<SaveResult> Checkpointer::wait() {
  if (!pending_.valid()) return std::nullopt;
  const auto result = pending_.get();
  // Old checkpoints are removed only now, when the new one is complete.
  if (result.problem.empty()) {
    steps_.insert(writing_);
    // Ascending: the oldest first.
    while (static_cast<int64_t>(steps_.size()) > options_.keep_last) steps_.erase(steps_.begin());
    prune();
  }
  return result;
}

std::optional<Checkpoint> Checkpointer::newest(int64_t step) const {
  for (auto at = steps_.rbegin(); at != steps_.rend(); ++at) {
    // A checkpoint from after the first faulty step may hold what went wrong.
    if (*at > step) continue;
    const auto file = step_file(options_.folder, *at);
    if (!find_damage(manifest_of(file))) return load_checkpoint(file);
  }
  return std::nullopt;
}

// Errors are returned, not thrown: training continues without this checkpoint.
SaveResult Checkpointer::write(Checkpoint checkpoint, const std::vector<std::string>& names) const {
  const auto start = std::chrono::steady_clock::now();
  const auto step = checkpoint.run.step;
  SaveResult result{.step = step, .file = step_file(options_.folder, step)};
  try {
    Manifest manifest{.step = step,
                      .samples = step * options_.global_batch,
                      .world_size = options_.world_size,
                      .config_hash = hash_of(checkpoint.config),
                      .ibot_version = kVersion,
                      .commit = commit()};
    clear_leftovers(options_.folder);
    // Order: file, then manifest, then further names. A kill in between leaves a checkpoint that is
    // either ignored (no manifest) or complete, and adopt() creates the missing names.
    manifest.files[result.file.filename()] = save_checkpoint(result.file, checkpoint);
    write_manifest(manifest_of(result.file), manifest);
    promote(result.file, names);
  } catch (const std::exception& problem) {
    result.problem = problem.what();
    // Without a manifest the file is useless, and it takes the space that the next one needs.
    std::error_code ignored;
    if (!fs::exists(manifest_of(result.file), ignored)) fs::remove(result.file, ignored);
  }
  result.seconds = seconds_since(start);
  return result;
}

void Checkpointer::promote(const fs::path& file, const std::vector<std::string>& names) const {
  const auto manifest = read_manifest(manifest_of(file));
  // A second name of the same content, which takes no space where there are hard links.
  io::link_file(file, last());
  for (const auto& name : names) {
    const auto kept = options_.folder / (name + ".safetensors");
    io::link_file(file, kept);
    // Under its own name, so that a kept file can be verified where the first one is gone.
    auto own = manifest;
    own.files = {{kept.filename(), manifest.files.at(file.filename())}};
    write_manifest(manifest_of(kept), own);
  }
}

// A file that cannot be removed only costs space: the next save tries again.
void Checkpointer::prune() const {
  std::set<std::string> kept;
  for (const auto step : steps_) {
    const auto file = step_file(options_.folder, step);
    kept.insert(file.filename());
    kept.insert(manifest_of(file).filename());
  }
  std::vector<fs::path> manifests, files;
  for (const auto& path : list(options_.folder)) {
    const auto name = path.filename().string();
    // Only files named by step are removed: kept names stay for ever.
    if (name.rfind("step-", 0) != 0 || kept.count(name) != 0) continue;
    (path.extension() == ".json" ? manifests : files).push_back(path);
  }
  std::error_code ignored;
  // Manifests first: none may name a file that no longer exists.
  for (const auto& path : manifests) fs::remove(path, ignored);
  for (const auto& path : files) fs::remove(path, ignored);
}

}  // namespace ibot::train
