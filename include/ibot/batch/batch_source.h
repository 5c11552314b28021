// The seam between data and training: where batches come from.
#pragma once

#include <optional>

namespace ibot::batch {

/// A finite stream of batches. Training and evaluation never see a file.
template <class Batch>
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  /// The next batch, or nothing at the end.
  virtual std::optional<Batch> next() = 0;
};

}  // namespace ibot::batch
