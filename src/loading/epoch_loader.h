// What every loader is: items dealt to batches in order, each batch filled by threads ahead of its
// use.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "ibot/base/error.h"
#include "loading/batch_pipeline.h"
#include "loading/epoch_walk.h"

namespace ibot::data {

/// Items are what a data set is asked for; a batch has a place for each of them.
template <class Item, class Batch>
class EpochLoader {
 public:
  struct Draft {
    int64_t epoch = 0;
    std::vector<Item> items;
    Batch batch;
  };
  struct Work {
    /// The items of the next batch, in order; nothing at the end. Never called by two threads at
    /// once.
    std::function<std::optional<typename EpochWalk<Item>::Batch>()> deal;
    /// A batch with room for so many.
    std::function<Batch(int64_t count)> make;
    /// Fills the place of item `i`. Called by many threads at once.
    std::function<void(Draft&, int64_t i)> fill;
  };

  /// Throws Error for no thread or nothing prepared ahead.
  EpochLoader(Work work, int64_t threads, int64_t prefetch)
      : work_(std::move(work)),
        pipeline_({.open = [this] { return open(); },
                   .tasks = [](const Draft& draft) { return ssize(draft.items); },
                   .fill = [this](Draft& draft, int64_t i) { work_.fill(draft, i); }},
                  checked(threads), checked(prefetch)) {}

  /// The next batch with its items; nothing at the end. Throws what making or filling it threw.
  std::optional<Draft> next() { return pipeline_.next(); }
  /// Seconds that next() has waited for the threads so far.
  double waited_s() const { return pipeline_.waited_s(); }

 private:
  static int64_t ssize(const std::vector<Item>& items) {
    return static_cast<int64_t>(items.size());
  }
  static int64_t checked(int64_t value) {
    IBOT_CHECK(value > 0, "loader: expected workers and prefetch_batches above 0, got ", value);
    return value;
  }

  std::optional<Draft> open() {
    auto dealt = work_.deal();
    if (!dealt) return std::nullopt;
    auto batch = work_.make(ssize(dealt->items));
    return Draft{dealt->epoch, std::move(dealt->items), std::move(batch)};
  }

  const Work work_;
  // Last, so that its threads end before what they use.
  BatchPipeline<Draft> pipeline_;
};

}  // namespace ibot::data
