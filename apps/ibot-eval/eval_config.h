// What an evaluation can be told: the keys of a pre-training run, and those of the features
// and of each task.
#pragma once

#include "ibot/config/run_config.h"
#include "ibot/eval/clustering.h"
#include "ibot/eval/features.h"
#include "ibot/eval/logistic_regression.h"

namespace ibot::apps {

struct EvalConfig {
  config::RunConfig run;
  eval::FeatureOptions features;
  eval::LogisticOptions logistic;
  eval::KmeansOptions kmeans;

  /// Calls `section(name, options)` for each section.
  template <class Visitor>
  void sections(Visitor&& section) {
    run.sections(section);
    section("features", features);
    section("logistic", logistic);
    section("kmeans", kmeans);
  }
};

}  // namespace ibot::apps
