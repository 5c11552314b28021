#include "ibot/eval/nearest.h"

#include <ATen/Parallel.h>
#include <torch/utils.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "ibot/eval/features.h"

namespace ibot::eval {
namespace {

// 256 x 16384 similarities: 16 MB.
constexpr int64_t kQueries = 256;
constexpr int64_t kRowsOfBlock = 16384;
/// 2^32: a key has the similarity above and the index below.
constexpr int64_t kLowBits = int64_t{1} << 32;

/// Keeps the k best of all that one query meets. Rows come in ascending order, so that of equals
/// the earlier one is already there.
class Shortlist {
 public:
  explicit Shortlist(int64_t k) : k_(static_cast<size_t>(k)) { best_.reserve(k_); }

  void add(const float* similarity, int64_t count, int64_t first_row) {
    for (int64_t i = 0; i < count; ++i) {
      // An equal one comes later and so loses.
      if (similarity[i] > least_) insert({similarity[i], first_row + i});
    }
  }

  /// Nearest first.
  void write(int64_t* index, float* similarity) {
    std::sort_heap(best_.begin(), best_.end(), nearer);
    for (const auto& entry : best_) {
      *index++ = entry.row;
      *similarity++ = entry.similarity;
    }
  }

 private:
  struct Entry {
    float similarity;
    int64_t row;
  };

  static bool nearer(const Entry& a, const Entry& b) {
    return a.similarity > b.similarity || (a.similarity == b.similarity && a.row < b.row);
  }

  // A heap with the farthest entry on top.
  void insert(Entry entry) {
    if (best_.size() == k_) {
      std::pop_heap(best_.begin(), best_.end(), nearer);
      best_.back() = entry;
    } else {
      best_.push_back(entry);
    }
    std::push_heap(best_.begin(), best_.end(), nearer);
    if (best_.size() == k_) least_ = best_.front().similarity;
  }

  size_t k_;
  float least_ = -std::numeric_limits<float>::infinity();
  std::vector<Entry> best_;
};

/// On the host a comparison with the worst of the best so far settles nearly every row.
class HostSearch {
 public:
  HostSearch(int64_t queries, int64_t k) : k_(k), lists_(queries, Shortlist(k)) {}

  void add(int64_t first_query, const torch::Tensor& similarity, int64_t first_row) {
    const auto* values = similarity.const_data_ptr<float>();
    const int64_t count = similarity.size(1);
    at::parallel_for(0, similarity.size(0), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        lists_[first_query + i].add(values + i * count, count, first_row);
      }
    });
  }

  Neighbors result() {
    const auto queries = static_cast<int64_t>(lists_.size());
    Neighbors found{torch::empty({queries, k_}, torch::kLong), torch::empty({queries, k_})};
    for (int64_t i = 0; i < queries; ++i) {
      lists_[i].write(found.index.data_ptr<int64_t>() + i * k_,
                      found.similarity.data_ptr<float>() + i * k_);
    }
    return found;
  }

 private:
  int64_t k_;
  std::vector<Shortlist> lists_;
};

/// On a GPU, top-k over integers that order first by similarity, then by lower index, so that no
/// two are equal and the choice does not depend on how the device sorts.
class DeviceSearch {
 public:
  DeviceSearch(int64_t queries, int64_t k) : k_(k), best_((queries + kQueries - 1) / kQueries) {}

  void add(int64_t first_query, const torch::Tensor& similarity, int64_t first_row) {
    const auto index =
        torch::arange(first_row, first_row + similarity.size(1),
                      torch::TensorOptions(torch::kLong).device(similarity.device()));
    // Bits of a float read as an integer order as the float does, where it is not negative.
    const auto bits = similarity.view(torch::kInt).to(torch::kLong);
    // Of equal similarities the lower index has the larger key.
    const auto keys = ordered(bits) * kLowBits + (kLowBits - 1 - index);
    auto& best = best_[first_query / kQueries];
    best = largest(best.defined() ? torch::cat({best, largest(keys)}, 1) : keys);
  }

  Neighbors result() const {
    const auto keys = torch::cat(best_);
    return {kLowBits - 1 - keys.bitwise_and(kLowBits - 1),
            ordered(keys.bitwise_right_shift(32)).to(torch::kInt).view(torch::kFloat)};
  }

 private:
  /// The bits of a negative float order the wrong way round; undone by a second call.
  static torch::Tensor ordered(const torch::Tensor& bits) {
    return torch::where(bits >= 0, bits, bits.bitwise_xor(0x7fffffff));
  }

  torch::Tensor largest(const torch::Tensor& keys) const {
    return std::get<0>(keys.topk(std::min(k_, keys.size(1)), 1));
  }

  int64_t k_;
  std::vector<torch::Tensor> best_;
};

template <class Search>
Neighbors search(Search search, const torch::Tensor& queries, const torch::Tensor& rows) {
  // Blocks of rows outside: each is normalized and moved to the device once.
  const auto unit_queries = unit_length(queries);
  for (int64_t row = 0; row < rows.size(0); row += kRowsOfBlock) {
    const auto block = unit_length(rows.slice(0, row, row + kRowsOfBlock).to(queries.device())).t();
    for (int64_t query = 0; query < queries.size(0); query += kQueries) {
      search.add(query, unit_queries.slice(0, query, query + kQueries).mm(block), row);
    }
  }
  return search.result();
}

}  // namespace

Neighbors nearest_rows(const torch::Tensor& queries, const torch::Tensor& rows, int64_t k) {
  const torch::NoGradGuard no_grad;
  if (queries.is_cpu()) return search(HostSearch(queries.size(0), k), queries, rows);
  return search(DeviceSearch(queries.size(0), k), queries, rows);
}

}  // namespace ibot::eval
