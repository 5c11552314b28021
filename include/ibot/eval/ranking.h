// Databases ranked by their similarity to queries, and how good a ranking is.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

namespace ibot::eval {

/// A database in the order of its similarity to each query. Distractors, images that nobody looks
/// for, are counted where they come before images of the database and not kept: they can be
/// millions.
class Ranking {
 public:
  /// Features are scaled to length 1 and compared by their dot product; of equally similar images
  /// the earlier row goes first.
  ///
  ///   queries   [Q, F]
  ///   database  [S, F]   on the same device
  ///
  /// Throws Error where widths differ or a value is not finite.
  Ranking(const torch::Tensor& queries, const torch::Tensor& database);

  /// More images behind the database: [M, F], M >= 1, of any device.
  void add_distractors(const torch::Tensor& features);

  /// Rows of the database, best first: [S, Q], int64, on the host.
  const torch::Tensor& order() const { return order_; }

  /// Images that were ranked.
  int64_t size() const { return order_.size(0) + distractors_; }

  /// Where the `wanted` rows are in a query's ranking without the rows `left_out`, counted from 0,
  /// ascending.
  std::vector<int64_t> places(int64_t query, const std::vector<int64_t>& wanted,
                              const std::vector<int64_t>& left_out = {}) const;

 private:
  torch::Tensor distractors_before(int64_t query) const;

  torch::Tensor queries_;    // [Q, F], of length 1
  torch::Tensor ascending_;  // [Q, S], similarities
  torch::Tensor order_;
  torch::Tensor counts_;  // [Q, S + 1]: distractors by how many rows of the database they precede
  int64_t distractors_ = 0;
};

/// Area under precision over recall by trapezoids, of `positives` images of which those at `places`
/// were found.
///
/// Source: the evaluation package of Holidays (Jegou et al. 2008), as revisited Oxford and Paris
/// and Copydays use it.
double average_precision(const std::vector<int64_t>& places, int64_t positives);

/// Share of positives among the best k' images, k' = k or the rank of the last positive where that
/// is smaller; `places` must not be empty.
double precision_at(const std::vector<int64_t>& places, int64_t k);

}  // namespace ibot::eval
