// Several runs from one request.
#pragma once

#include <string>
#include <vector>

#include "ibot/config/config_file.h"
#include "ibot/config/section.h"

namespace ibot::config {

/// One run of a sweep.
///
///   name       of its folder, made of its values alone: "lr=0.001-shape=rand"; empty without a
///              sweep. Different runs have different names, of at most 200 characters
///   swept      its own values: "optim.lr=0.001 mask.shape=rand"
///   overrides  what it sets, each "section.key=value"
struct SweepRun {
  std::string name;
  std::string swept;
  std::vector<std::string> overrides;
};

/// The runs that files and overrides ask for; without a sweep, one. A sweep is a set of keys, each
/// with its values, and every combination is a run; the last key varies fastest.
///
///   scratch    the keys; their values are overwritten
///   files      as read_config_files() gives them; the `sweep` of the last one that has it counts
///   overrides  of the command line; one of a key that the files sweep takes the place of its
///   values
///
/// In a file:
///
///   sweep:
///     optim.lr: [5e-4, 1e-3]
///     backbone.arch, train.batch_size: [[vit_tiny, 64], [vit_small, 32]]   # vary together
///     optim.weight_decay: {log: [0.01, 0.1]}     # drawn; {uniform: [a, b]} likewise
///     draws: 8                                   # of all drawn keys at once
///     seed: 0
///
/// As overrides: `optim.lr={5e-4, 1e-3}`, `backbone.arch,train.batch_size={[vit_tiny, 64], ...}`,
/// `optim.lr={log: [1e-4, 1e-2]}`, `sweep.draws=8`, `sweep.seed=0`. More draws keep the earlier
/// ones. Drawn numbers have three significant digits; for integer keys they are rounded.
///
/// Throws ConfigError for unknown keys, values of another type, equal values, a key that is swept
/// twice, ranges without a number of draws, and more than 1000 runs.
std::vector<SweepRun> expand_sweep(const Sections& scratch, const std::vector<ConfigText>& files,
                                   const std::vector<std::string>& overrides);

}  // namespace ibot::config
