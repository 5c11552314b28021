#include "ibot-bench/propagation_bench.h"

#include <torch/utils.h>

#include "ibot/eval/propagation.h"

namespace ibot::apps {

void bench_propagation(const PropagationBenchOptions& options, const BenchRuns& runs,
                       Figures& figures) {
  const torch::NoGradGuard no_grad;
  const auto frame = [&] {
    return torch::randn({options.rows, options.columns, options.width}, runs.device);
  };
  const auto labels =
      torch::arange(options.rows * options.columns).view({options.rows, options.columns}) %
      options.classes;
  const eval::PropagationOptions propagated;
  eval::Propagation propagation(propagated, frame(), labels);
  // Until all frames that are looked at are there.
  for (int64_t i = 0; i < propagated.last_frames; ++i) propagation.next(frame());
  const auto features = frame();
  figures.measure({.name = "propagation", .images = 1.0}, runs,
                  [&] { propagation.next(features); });
}

}  // namespace ibot::apps
