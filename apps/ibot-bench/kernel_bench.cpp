#include "ibot-bench/kernel_bench.h"

#include <algorithm>

#include "ibot/kernels/table.h"
#include "ibot/optim/autocast.h"

namespace ibot::apps {
namespace {

// Pieces are smaller than a step: more of them, and on a GPU larger ones, which fill it.
constexpr int kTimes = 20;
constexpr int64_t kRowsTimesOnDevice = 64;

void bench_kernel(const kernels::TableRow& row, const kernels::Trial& trial, const BenchRuns& runs,
                  Figures& figures) {
  const auto subject = row.subject(trial);
  const auto with_fallback = [&] {
    const kernels::FallbacksOnly fallbacks;
    subject.run();
  };
  const auto name = "kernel." + row.choice.name();
  figures.measure_in_turn({{.bench = {.name = name + ".own", .bytes = subject.bytes},
                            .run = [&] { subject.run(); },
                            .before = subject.prepare},
                           {.bench = {.name = name + ".fallback", .bytes = subject.bytes},
                            .run = with_fallback,
                            .before = subject.prepare}},
                          {runs.device, kTimes * runs.repetitions});
}

}  // namespace

void bench_kernels(const config::RunConfig& config, const BenchRuns& runs, Figures& figures) {
  const torch::NoGradGuard no_grad;
  const auto type =
      optim::autocast_dtype(config.train.precision, runs.device).value_or(torch::kFloat);
  for (const auto& row : kernels::table()) {
    const bool takes = std::find(row.types.begin(), row.types.end(), type) != row.types.end();
    if (!takes || !row.choice.has_own(runs.device.type())) continue;
    const auto rows = runs.device.is_cpu() ? row.rows : kRowsTimesOnDevice * row.rows;
    bench_kernel(row, {.device = runs.device, .type = type, .rows = rows, .width = row.width}, runs,
                 figures);
  }
}

}  // namespace ibot::apps
