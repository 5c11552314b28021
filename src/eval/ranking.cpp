#include "ibot/eval/ranking.h"

#include <algorithm>
#include <set>

#include "ibot/base/error.h"
#include "ibot/eval/features.h"

namespace ibot::eval {

Ranking::Ranking(const torch::Tensor& queries, const torch::Tensor& database)
    : queries_(unit_length(queries)) {
  IBOT_CHECK(queries.size(1) == database.size(1), "ranking: expected features of ", queries.size(1),
             " values, got ", database.size(1));
  check_finite(queries, "ranking", "features of queries");
  check_finite(database, "ranking", "features of the database");
  const auto similarity = unit_length(database).mm(queries_.t());  // [S, Q]
  order_ = std::get<1>(similarity.sort(/*stable=*/true, 0, /*descending=*/true)).to(torch::kCPU);
  // Distractors only need to be counted between the similarities of a query: they come in parts and
  // are never kept.
  ascending_ = std::get<0>(similarity.t().contiguous().sort(1));  // [Q, S]
  counts_ =
      torch::zeros({queries.size(0), database.size(0) + 1}, queries_.options().dtype(torch::kLong));
}

void Ranking::add_distractors(const torch::Tensor& features) {
  check_finite(features, "ranking", "features of distractors");
  const auto rows = unit_length(features.to(queries_.device()));
  const auto similarity = queries_.mm(rows.t());  // [Q, M]
  // Rows of the database that are less similar; one that is equally similar comes first.
  const auto preceded = torch::searchsorted(ascending_, similarity);
  counts_.scatter_add_(1, preceded, torch::ones_like(preceded));
  distractors_ += features.size(0);
}

torch::Tensor Ranking::distractors_before(int64_t query) const {
  // Row i of the ascending order is preceded by those that precede more than i rows.
  const auto most_first = counts_[query].flip({0}).cumsum(0);  // [S + 1]
  return most_first.narrow(0, 0, order_.size(0)).to(torch::kCPU);
}

std::vector<int64_t> Ranking::places(int64_t query, const std::vector<int64_t>& wanted,
                                     const std::vector<int64_t>& left_out) const {
  const std::set<int64_t> found(wanted.begin(), wanted.end());
  const std::set<int64_t> junk(left_out.begin(), left_out.end());
  const auto before = distractors_before(query);
  const auto order = order_.accessor<int64_t, 2>();
  const auto distractors = before.accessor<int64_t, 1>();
  std::vector<int64_t> places;
  int64_t passed_over = 0;
  for (int64_t place = 0; place < order_.size(0); ++place) {
    const int64_t row = order[place][query];
    // A place among what counts: junk before it is taken out, distractors are added.
    if (found.count(row) > 0) places.push_back(place - passed_over + distractors[place]);
    passed_over += static_cast<int64_t>(junk.count(row));
  }
  return places;
}

double average_precision(const std::vector<int64_t>& places, int64_t positives) {
  double area = 0.0;
  for (size_t found = 0; found < places.size(); ++found) {
    const auto before = static_cast<double>(found);
    const auto place = static_cast<double>(places[found]);
    // Trapezoid between the precisions before and at this positive, as in the official evaluation.
    const double left = places[found] == 0 ? 1.0 : before / place;
    const double right = (before + 1.0) / (place + 1.0);
    area += (left + right) / (2.0 * static_cast<double>(positives));
  }
  return area;
}

double precision_at(const std::vector<int64_t>& places, int64_t k) {
  // No deeper than the last positive: a query with few of them can reach 1.
  const int64_t depth = std::min(places.back() + 1, k);
  const auto hits =
      std::count_if(places.begin(), places.end(), [&](int64_t place) { return place < depth; });
  return static_cast<double>(hits) / static_cast<double>(depth);
}

}  // namespace ibot::eval
