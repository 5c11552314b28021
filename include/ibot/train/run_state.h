// Where a run stands: the part of a checkpoint that is not a tensor.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace ibot::train {

/// Values of the loss's terms by name, their weights included, in the order of the loss.
using TermValues = std::vector<std::pair<std::string, double>>;

/// Sums over the steps of the running epoch, for its means. `skipped` steps count in `lr` and
/// `weight_decay` only.
struct EpochSums {
  int64_t steps = 0;
  double loss = 0.0;
  TermValues terms;
  double lr = 0.0;
  double weight_decay = 0.0;
  TermValues more;  // of further columns, by name
  int64_t skipped = 0;
};

/// Adds by name; the sums are then those of `more`, in its order.
void add_by_name(TermValues& sums, const TermValues& more);

/// Where the loss has been: running mean and variance over some hundred steps.
struct LossTrend {
  int64_t count = 0;
  double mean = 0.0;
  double variance = 0.0;

  /// Adds a step's loss; returns how many standard deviations above the mean of those before it
  /// lay, 0 until there are enough of them to tell.
  double add(double loss);
};

/// The checkpoint that scored best in the run's own evaluations; step 0: none yet. Scores of
/// another identity are not comparable; versions before 0.2 noted none.
struct BestCheckpoint {
  int64_t step = 0;
  double score = 0.0;
  std::string identity;
  std::map<std::string, double> metrics = {};  // of that evaluation
};

/// `step` counts finished steps; with the options it determines everything but tensors and sums.
/// `steps_per_epoch` tells whether the data are still as many as they were, `global_batch` whether
/// a step still has as many images, however many ranks share them; 0: not known. Of a run of the
/// official program `epochs` alone is known, the finished ones, until the data tell their steps.
struct RunState {
  int64_t step = 0;
  int64_t steps_per_epoch = 0;
  int64_t images = 0;  // of the data set: of another number the order is another; 0: not known
  int64_t global_batch = 0;
  int64_t epochs = 0;
  EpochSums sums;
  LossTrend trend;
  BestCheckpoint best;

  /// The state itself where steps_per_epoch is known, else after `epochs` epochs of `steps`.
  RunState with_steps(int64_t steps) const;

  /// As JSON, doubles exact.
  std::string to_json() const;
  /// Throws CheckpointError on text that to_json did not write; versions before 0.2 wrote neither
  /// trend nor best.
  static RunState from_json(const std::string& text);
};

}  // namespace ibot::train
