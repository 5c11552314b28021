#include "ibot-bench/knn_bench.h"

#include <torch/utils.h>

#include <algorithm>

#include "common/run_main.h"
#include "ibot/eval/knn.h"

namespace ibot::apps {
namespace {

eval::FeatureBank random_bank(int64_t count, const KnnBenchOptions& options, torch::Device device) {
  return {torch::randn({count, options.width}, device),
          torch::randint(options.classes, {count}, torch::kLong), torch::arange(count), "random"};
}

}  // namespace

void bench_knn(const KnnBenchOptions& options, const BenchRuns& runs, Figures& figures) {
  const auto most = *std::max_element(options.k.begin(), options.k.end());
  IBOT_CHECK_AS(RequestError, most > 0 && most <= options.rows, "--k: expected at most the --rows ",
                options.rows, ", got ", most);
  const auto train = random_bank(options.rows, options, runs.device);
  const auto test = random_bank(options.queries, options, runs.device);
  figures.measure(
      {.name = "knn",
       .images = static_cast<double>(options.queries),
       .flops = 2.0 * static_cast<double>(options.rows) * static_cast<double>(options.width) *
                static_cast<double>(options.queries)},
      runs, [&] {
        eval::classify_knn(train, test, {options.k, 0.07});
      });
}

}  // namespace ibot::apps
