// State of a run: the part of a checkpoint that is not tensors.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace ibot::train {

/// Weighted values of the loss terms by name, in the order of the loss.
using TermValues = std::vector<std::pair<std::string, double>>;

/// Sums over the steps of the current epoch, for its means. `skipped` steps count only in `lr` and
/// `weight_decay`.
struct EpochSums {
  int64_t steps = 0;
  double loss = 0.0;
  TermValues terms;
  double lr = 0.0;
  double weight_decay = 0.0;
  TermValues more;  // further columns, by name
  int64_t skipped = 0;
};

/// Adds by name; the result has the names of `more`, in its order.
void add_by_name(TermValues& sums, const TermValues& more);

/// Running mean and variance of the loss over about two hundred steps.
struct LossTrend {
  int64_t count = 0;
  double mean = 0.0;
  double variance = 0.0;

  /// Adds the loss of a step; returns how many standard deviations it lies above the mean of
  /// earlier ones, 0 until there are fifty.
  double add(double loss);
};

/// The checkpoint with the best score in the run's own evaluations; step 0: none yet. Scores of
/// different identities are not comparable; versions before 0.2 stored none.
struct BestCheckpoint {
  int64_t step = 0;
  double score = 0.0;
  std::string identity;
  std::map<std::string, double> metrics = {};  // metrics of that evaluation
};

/// `step` counts finished steps; with the options it determines everything except tensors and sums.
/// `steps_per_epoch` detects a data set of another size, `global_batch` another number of images
/// per step, however many ranks share them; 0: unknown. Of a run of the official program only
/// `epochs`, the finished ones, is known until the data set gives the number of steps.
struct RunState {
  int64_t step = 0;
  int64_t steps_per_epoch = 0;
  int64_t images = 0;  // size of the data set, which determines the order; 0: unknown
  int64_t global_batch = 0;
  int64_t epochs = 0;
  EpochSums sums;
  LossTrend trend;
  BestCheckpoint best;

  /// The state itself if steps_per_epoch is known, otherwise after `epochs` epochs of `steps`
  /// steps.
  RunState with_steps(int64_t steps) const;

  /// As JSON; doubles are exact.
  std::string to_json() const;
  /// Throws CheckpointError for text that to_json() did not write; versions before 0.2 wrote
  /// neither trend nor best.
  static RunState from_json(const std::string& text);
};

}  // namespace ibot::train
