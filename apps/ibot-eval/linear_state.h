// What a linear probe keeps between its runs.
#pragma once

#include <filesystem>

#include "ibot-eval/eval_config.h"
#include "ibot/eval/linear_heads.h"

namespace ibot::apps {

/// Written to OUT/linear.safetensors after every epoch; without an output nothing is kept.
class LinearState {
 public:
  LinearState(const std::filesystem::path& output, const EvalConfig& config);

  /// Fills `heads` and the members from the file if there is one. Throws RequestError when another
  /// configuration wrote it.
  void read(eval::LinearHeads& heads);
  void write(const eval::LinearHeads& heads) const;

  int64_t next_epoch = 0;
  eval::LinearBest best;
  eval::LinearBest best_sgd;

 private:
  std::filesystem::path file_;
  std::string config_;
};

}  // namespace ibot::apps
