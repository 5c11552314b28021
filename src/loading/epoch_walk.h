// Position of a loader within its epochs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "ibot/base/error.h"

namespace ibot::data {

/// Yields the items of one batch after another, epoch by epoch, each epoch in its own order.
template <class Item>
class EpochWalk {
 public:
  struct Options {
    int64_t batch_size = 1;
    int64_t steps_per_epoch = 1;
    /// Start, and the epoch before which it ends.
    int64_t first_epoch = 0;
    int64_t first_step = 0;
    int64_t num_epochs = 1;
    std::function<std::vector<Item>(int64_t epoch)> order_of;
  };
  struct Batch {
    int64_t epoch = 0;
    std::vector<Item> items;
  };

  /// Throws Error for a start outside an epoch.
  explicit EpochWalk(Options options)
      : options_(std::move(options)), epoch_(options_.first_epoch), step_(options_.first_step) {
    IBOT_CHECK(epoch_ >= 0 && step_ >= 0 && step_ <= options_.steps_per_epoch,
               "loader: expected a start within ", options_.steps_per_epoch,
               " steps per epoch, got epoch ", epoch_, ", step ", step_);
  }

  /// The next batch, smaller if the order ends within it; nullopt after the last epoch.
  std::optional<Batch> next() {
    // Before the end is checked: a loader may start behind the last step of an epoch.
    if (step_ == options_.steps_per_epoch) {
      ++epoch_;
      step_ = 0;
      order_.clear();
    }
    if (epoch_ >= options_.num_epochs) return std::nullopt;
    if (order_.empty()) order_ = options_.order_of(epoch_);
    const auto size = static_cast<int64_t>(order_.size());
    const int64_t begin = step_++ * options_.batch_size;
    const int64_t end = std::min(begin + options_.batch_size, size);
    return Batch{epoch_, {order_.begin() + begin, order_.begin() + end}};
  }

 private:
  const Options options_;
  // Position of the next batch.
  int64_t epoch_;
  int64_t step_;
  std::vector<Item> order_;
};

}  // namespace ibot::data
