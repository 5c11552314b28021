#include "ibot/metrics/assignment.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "ibot/base/error.h"

namespace ibot::metrics {
namespace {

constexpr int64_t kFar = std::numeric_limits<int64_t>::max();

/// A dense table of costs with at most as many rows as columns.
struct Costs {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<int64_t> values;

  int64_t at(int64_t row, int64_t column) const { return values[row * columns + column]; }
};

/// The sorted distinct values, and for each entry the place of its value among them.
struct Ranked {
  int64_t count = 0;
  std::vector<int64_t> place;
};

Ranked ranked(const torch::Tensor& ids) {
  const auto list = ids.contiguous();
  const std::vector<int64_t> given(list.const_data_ptr<int64_t>(),
                                   list.const_data_ptr<int64_t>() + list.numel());
  auto distinct = given;
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  Ranked result{static_cast<int64_t>(distinct.size()), {}};
  for (const int64_t id : given) {
    result.place.push_back(std::lower_bound(distinct.begin(), distinct.end(), id) -
                           distinct.begin());
  }
  return result;
}

/// Negated image counts, so that the cheapest matching is the largest.
Costs costs_of(const torch::Tensor& counts) {
  auto row = ranked(counts.select(1, 0));
  auto column = ranked(counts.select(1, 1));
  // Unequal numbers need no padding: the smaller side is matched in whole.
  if (row.count > column.count) std::swap(row, column);
  const auto images = counts.select(1, 2).contiguous();
  Costs costs{row.count, column.count, std::vector<int64_t>(row.count * column.count)};
  for (size_t i = 0; i < row.place.size(); ++i) {
    costs.values[row.place[i] * costs.columns + column.place[i]] -=
        images.const_data_ptr<int64_t>()[i];
  }
  return costs;
}

/// Adds rows one at a time; after each, the matching is the cheapest of the rows so far. The prices
/// (dual variables) keep every reduced cost, cost - row price - column price, non-negative and zero
/// on matched pairs, so a shortest augmenting path to a free column is the cheapest change.
class Matching {
 public:
  explicit Matching(const Costs& costs)
      : costs_(costs),
        row_price_(costs.rows),
        column_price_(costs.columns),
        row_of_(costs.columns, -1),
        distance_(costs.columns),
        via_(costs.columns),
        done_(costs.columns) {}

  void add(int64_t row) {
    int64_t column = shortest_path(row);
    // Along the path each column takes over the row of its predecessor.
    for (int64_t previous = via_[column]; previous != -1; previous = via_[column]) {
      row_of_[column] = row_of_[previous];
      column = previous;
    }
    row_of_[column] = row;
  }

  int64_t cost() const {
    int64_t sum = 0;
    for (int64_t column = 0; column < costs_.columns; ++column) {
      if (row_of_[column] != -1) sum += costs_.at(row_of_[column], column);
    }
    return sum;
  }

 private:
  /// The free column nearest to `start`; via_ leads back, -1 where a path leaves `start`.
  int64_t shortest_path(int64_t start) {
    std::fill(distance_.begin(), distance_.end(), kFar);
    std::fill(done_.begin(), done_.end(), false);
    int64_t row = start;
    int64_t from = -1;
    int64_t traveled = 0;
    // Dijkstra over columns, dense: one step costs O(columns), a row O(columns^2) at worst.
    while (true) {
      int64_t next = -1;
      for (int64_t column = 0; column < costs_.columns; ++column) {
        if (done_[column]) continue;
        // Reduced costs are never negative: Dijkstra applies.
        const int64_t through =
            traveled + costs_.at(row, column) - row_price_[row] - column_price_[column];
        if (through < distance_[column]) {
          distance_[column] = through;
          via_[column] = from;
        }
        if (next == -1 || distance_[column] < distance_[next]) next = column;
      }
      traveled = distance_[next];
      if (row_of_[next] == -1) {
        update_prices(start, traveled);
        return next;
      }
      done_[next] = true;
      from = next;
      row = row_of_[next];
    }
  }

  /// Restores the invariant: only columns whose shortest distance is final have moved.
  void update_prices(int64_t start, int64_t traveled) {
    row_price_[start] += traveled;
    for (int64_t column = 0; column < costs_.columns; ++column) {
      if (!done_[column]) continue;
      row_price_[row_of_[column]] += traveled - distance_[column];
      column_price_[column] -= traveled - distance_[column];
    }
  }

  const Costs& costs_;
  std::vector<int64_t> row_price_;
  std::vector<int64_t> column_price_;
  std::vector<int64_t> row_of_;
  std::vector<int64_t> distance_;
  std::vector<int64_t> via_;
  std::vector<char> done_;  // columns whose distance is final
};

}  // namespace

int64_t matched_images(const torch::Tensor& counts) {
  IBOT_CHECK(counts.dim() == 2 && counts.size(1) == 3 && counts.scalar_type() == torch::kLong,
             "assignment: expected int64 counts of shape [pairs, 3], got ", counts.scalar_type(),
             " of shape ", counts.sizes());
  const auto costs = costs_of(counts);
  Matching matching(costs);
  for (int64_t row = 0; row < costs.rows; ++row) matching.add(row);
  return -matching.cost();
}

}  // namespace ibot::metrics
