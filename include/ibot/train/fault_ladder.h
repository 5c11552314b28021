// What follows on steps whose loss or gradients are not finite.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <string>
#include <vector>

namespace ibot::train {

struct FaultLadderOptions {
  std::filesystem::path replay;  // folder of the batches kept; empty: none are
  int64_t most_batches = 4;
  int64_t skips_to_roll_back = 5;
  int64_t most_roll_backs = 3;  // in one epoch
};

/// A step that did not count.
struct SkippedStep {
  int64_t step = 0;
  std::string batch;  // the file that holds it, or why none does
};

/// The rungs: the step itself does not count (TrainStep sees to that on the device) and its batch
/// is kept; after several in a row the run goes back to an earlier checkpoint; after several times
/// in one epoch it ends. The host learns of a step when the device is done with it, without
/// waiting; it holds the batches until then.
class FaultLadder {
 public:
  /// Writes the batch of step `step` to a file.
  using Keep = std::function<void(const std::filesystem::path& file, int64_t step)>;

  explicit FaultLadder(FaultLadderOptions options);
  ~FaultLadder();

  /// Step `step` was given to the device; `keep` holds its batch, empty where none is kept;
  /// `faulty` as in StepColumns.
  void watch(int64_t step, Keep keep, const torch::Tensor& faulty);

  /// Steps not told of yet that did not count, in order; with `wait`, of all that were watched.
  std::vector<SkippedStep> settle(bool wait);

  /// How many of the last steps known did not count, without one between them that did.
  int64_t in_a_row() const { return in_a_row_; }
  /// Whether the last step known counted, since a roll-back too.
  bool last_counted() const { return last_counted_; }
  /// Whether it is time to roll back, to before step `first_in_a_row`.
  bool wants_roll_back() const { return in_a_row_ >= options_.skips_to_roll_back; }
  int64_t first_in_a_row() const { return first_; }
  /// Whether a further roll-back is allowed in this epoch.
  bool may_roll_back() const { return roll_backs_ < options_.most_roll_backs; }
  /// The weights are those of a checkpoint; what was watched before no longer counts.
  void rolled_back();
  void begin_epoch() { roll_backs_ = 0; }

 private:
  struct Watched;
  std::string keep(const Watched& watched) const;

  FaultLadderOptions options_;
  std::list<Watched> watched_;
  int64_t in_a_row_ = 0;
  bool last_counted_ = true;
  int64_t first_ = 0;
  int64_t roll_backs_ = 0;
};

}  // namespace ibot::train
