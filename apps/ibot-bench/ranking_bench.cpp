#include "ibot-bench/ranking_bench.h"

#include <torch/utils.h>

#include <algorithm>

#include "ibot/eval/ranking.h"

namespace ibot::apps {

void bench_ranking(const RankingBenchOptions& options, const BenchRuns& runs, Figures& figures) {
  constexpr int64_t kPart = 512;
  const torch::NoGradGuard no_grad;
  const auto features = [&](int64_t count) {
    return torch::randn({count, options.width}, runs.device);
  };
  const auto queries = features(options.queries);
  const auto database = features(options.database);
  figures.measure(
      {.name = "ranking", .images = static_cast<double>(options.distractors)}, runs, [&] {
        eval::Ranking ranking(queries, database);
        for (int64_t begin = 0; begin < options.distractors; begin += kPart) {
          ranking.add_distractors(features(std::min(kPart, options.distractors - begin)));
        }
        for (int64_t query = 0; query < options.queries; ++query) ranking.places(query, {0});
      });
}

}  // namespace ibot::apps
