#include "ibot/eval/retrieval.h"

#include <cmath>
#include <limits>

#include "ibot/base/error.h"

namespace ibot::eval {
namespace {

struct Judged {
  std::vector<int64_t> positives;
  std::vector<int64_t> left_out;
};

std::vector<int64_t> joined(std::vector<int64_t> first, const std::vector<int64_t>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Judged judged(const std::string& protocol, const Relevance& truth) {
  // Protocols of Radenović et al. 2018: what is neither positive nor left out counts as wrong.
  if (protocol == "easy") return {truth.easy, joined(truth.junk, truth.hard)};
  if (protocol == "hard") return {truth.hard, joined(truth.junk, truth.easy)};
  return {joined(truth.easy, truth.hard), truth.junk};
}

void add_query(const Ranking& ranking, int64_t query, const Judged& judged,
               const std::vector<int64_t>& k, ProtocolResult& result) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  result.ap.push_back(kNone);
  result.precision.emplace_back(k.size(), kNone);
  // Such a query stays NaN and out of the means.
  if (judged.positives.empty()) return;
  const auto places = ranking.places(query, judged.positives, judged.left_out);
  result.ap.back() = average_precision(places, static_cast<int64_t>(judged.positives.size()));
  for (size_t i = 0; i < k.size(); ++i) result.precision.back()[i] = precision_at(places, k[i]);
}

void add_means(ProtocolResult& result) {
  double queries = 0.0;
  for (size_t i = 0; i < result.ap.size(); ++i) {
    if (std::isnan(result.ap[i])) continue;
    queries += 1.0;
    result.mean_ap += result.ap[i];
    for (size_t j = 0; j < result.mean_precision.size(); ++j) {
      result.mean_precision[j] += result.precision[i][j];
    }
  }
  result.mean_ap /= queries;
  for (auto& mean : result.mean_precision) mean /= queries;
}

}  // namespace

std::vector<ProtocolResult> revisited_results(const Ranking& ranking,
                                              const std::vector<Relevance>& truth,
                                              const std::vector<int64_t>& k) {
  IBOT_CHECK(static_cast<int64_t>(truth.size()) == ranking.order().size(1),
             "retrieval: expected the truth of ", ranking.order().size(1), " queries, got ",
             truth.size());
  std::vector<ProtocolResult> results;
  for (const char* name : {"easy", "medium", "hard"}) {
    results.push_back({.name = name, .mean_precision = std::vector<double>(k.size())});
    for (size_t query = 0; query < truth.size(); ++query) {
      add_query(ranking, static_cast<int64_t>(query), judged(name, truth[query]), k,
                results.back());
    }
    add_means(results.back());
  }
  return results;
}

}  // namespace ibot::eval
