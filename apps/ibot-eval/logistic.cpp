#include <cstdio>

#include "common/logging.h"
#include "common/progress.h"
#include "ibot-eval/features.h"
#include "ibot-eval/task.h"
#include "ibot/eval/logistic_regression.h"

namespace ibot::apps {
namespace {

eval::LogisticFit fit(const FeatureBanks& banks, double lambda,
                      const eval::LogisticOptions& options) {
  Progress progress({.label = concat("lambda ", lambda),
                     .unit = "iterations",
                     .total = options.max_iterations,
                     .item = "iterations"});
  const auto show = [&](int64_t iterations, double gap) {
    progress.update(iterations, concat("gap ", gap));
  };
  auto found = eval::fit_logistic(banks.train, banks.classes, lambda, options, show);
  progress.finish();
  if (found.gap > options.tolerance) {
    log_warning(concat("lambda ", lambda, ": stopped after ", found.iterations,
                       " iterations at a relative gap of ", found.gap,
                       "; raise logistic.max_iterations for a closer solution"));
  }
  return found;
}

}  // namespace

eval::Report run_logistic(const TaskRequest& request) {
  const auto& options = request.weights.config.logistic;
  auto banks = image_features(request, "logistic");
  for (auto* bank : {&banks.train, &banks.test}) bank->features = bank->features.to(request.device);
  auto report = feature_report("logistic", request, eval::option_values(options), banks.identity);
  double best = 0;
  std::printf("%10s %8s %10s %10s\n", "lambda", "top-1", "objective", "gap");
  for (const double lambda : options.lambda) {
    const auto found = fit(banks, lambda, options);
    const double top1 = eval::logistic_top1(found, banks.test);
    std::printf("%10g %8.2f %10.6f %10.2e\n", lambda, top1, found.objective, found.gap);
    const auto name = [&](const char* metric) { return concat(metric, "_lambda", lambda); };
    report.metrics.merge(std::map<std::string, double>{
        {name("top1"), top1}, {name("objective"), found.objective}, {name("gap"), found.gap}});
    best = std::max(best, top1);
  }
  report.metrics["top1"] = best;
  return report;
}

}  // namespace ibot::apps
