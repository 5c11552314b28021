// What an evaluation can be told: the keys of a pre-training run, and those of the features.
#pragma once

#include "ibot/config/run_config.h"
#include "ibot/eval/features.h"

namespace ibot::apps {

struct EvalConfig {
  config::RunConfig run;
  eval::FeatureOptions features;

  /// Calls `section(name, options)` for each section.
  template <class Visitor>
  void sections(Visitor&& section) {
    run.sections(section);
    section("features", features);
  }
};

}  // namespace ibot::apps
