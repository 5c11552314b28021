// Results of revisited Oxford and Paris.
#pragma once

#include <string>
#include <vector>

#include "ibot/eval/ranking.h"

namespace ibot::eval {

/// Rows of the database that show what a query shows, by how hard they are to find; junk shows too
/// little to count for or against.
struct Relevance {
  std::vector<int64_t> easy;
  std::vector<int64_t> hard;
  std::vector<int64_t> junk;
};

/// One protocol. Values of a query without positives are NaN and left out of means, which are NaN
/// where no query has any.
///
///   precision  of each query at each k
struct ProtocolResult {
  std::string name;
  double mean_ap = 0.0;
  std::vector<double> ap;
  std::vector<double> mean_precision;
  std::vector<std::vector<double>> precision;
};

/// The protocols easy, medium and hard, of which each removes as junk what another looks for, as
/// fractions.
///
///   truth  of each query of the ranking
///   k      depths of precision
///
/// Source: Radenovic et al. 2018, sec. 3; evaluation/eval_image_retrieval.py of the reference.
std::vector<ProtocolResult> revisited_results(const Ranking& ranking,
                                              const std::vector<Relevance>& truth,
                                              const std::vector<int64_t>& k);

}  // namespace ibot::eval
