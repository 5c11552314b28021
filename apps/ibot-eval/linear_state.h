// What a linear probe keeps between its runs.
#pragma once

#include <filesystem>

#include "common/identity.h"
#include "ibot/eval/linear_heads.h"

namespace ibot::apps {

/// Written to OUT/linear.safetensors after every epoch; without an output nothing is kept.
class LinearState {
 public:
  LinearState(const std::filesystem::path& output, Identity identity);

  /// Fills `heads` and the members from the file if there is one. Throws RequestError, naming what
  /// differs, when it belongs to another identity.
  void read(eval::LinearHeads& heads);
  void write(const eval::LinearHeads& heads) const;

  int64_t next_epoch = 0;
  eval::LinearBest best;
  eval::LinearBest best_sgd;

 private:
  std::filesystem::path file_;
  Identity identity_;
};

}  // namespace ibot::apps
