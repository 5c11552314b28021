#include <algorithm>

#include "evaluation/table.h"
#include "ibot/eval/logistic_regression.h"
#include "ibot/evaluation/evaluations.h"

namespace ibot::evaluation {
namespace {

class Logistic : public Evaluation {
 public:
  explicit Logistic(eval::LogisticOptions options)
      : Evaluation({"logistic",
                    "logistic regression on train/, tested on val/",
                    {.train_features = true, .test_features = true}}),
        options_(std::move(options)) {}

  eval::Report run(const Inputs& inputs, const Listener& listener) const override {
    auto train = inputs.train;
    auto test = inputs.test;
    for (auto* bank : {&train, &test}) bank->features = bank->features.to(inputs.subject.device);
    eval::Report report{
        .options = eval::option_values(options_),
        .table = table_line("%10s %8s %10s %10s", "lambda", "top-1", "objective", "gap"),
        .score = 0.0};
    for (const double lambda : options_.lambda) {
      const auto found = fit(train, inputs.classes, lambda, listener);
      const double top1 = eval::logistic_top1(found, test);
      report.table +=
          table_line("%10g %8.2f %10.6f %10.2e", lambda, top1, found.objective, found.gap);
      const auto name = [&](const char* metric) { return concat(metric, "_lambda", lambda); };
      report.metrics.merge(std::map<std::string, double>{
          {name("top1"), top1}, {name("objective"), found.objective}, {name("gap"), found.gap}});
      // The protocol reports the best λ.
      report.score = std::max(*report.score, top1);
    }
    report.metrics["top1"] = *report.score;
    return report;
  }

 private:
  eval::LogisticFit fit(const eval::FeatureBank& train, int64_t classes, double lambda,
                        const Listener& listener) const {
    Stage stage{
        .label = concat("lambda ", lambda), .unit = "iterations", .total = options_.max_iterations};
    const auto show = [&](int64_t iterations, double gap) {
      stage.done = iterations;
      stage.note = concat("gap ", gap);
      listener.progress(stage);
    };
    listener.progress(stage);
    auto found = eval::fit_logistic(train, classes, lambda, options_, show);
    stage.finished = true;
    listener.progress(stage);
    if (found.gap > options_.tolerance) {
      listener.warning(concat("lambda ", lambda, ": stopped after ", found.iterations,
                              " iterations at a relative gap of ", found.gap,
                              "; raise logistic.max_iterations for a closer solution"));
    }
    return found;
  }

  eval::LogisticOptions options_;
};

}  // namespace

std::unique_ptr<Evaluation> make(const eval::LogisticOptions& options) {
  return std::make_unique<Logistic>(options);
}

}  // namespace ibot::evaluation
