// Interface between data and training.
#pragma once

#include <optional>

namespace ibot::batch {

/// A stream of batches. Training and evaluation see no files.
template <class Batch>
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  /// The next batch; nullopt at the end.
  virtual std::optional<Batch> next() = 0;
};

}  // namespace ibot::batch
