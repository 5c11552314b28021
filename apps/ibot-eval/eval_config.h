// What an evaluation can be told: the keys of a pre-training run, and those of the features and of
// each task.
#pragma once

#include "ibot/batch/mixing_options.h"
#include "ibot/config/run_config.h"
#include "ibot/data/dataset_options.h"
#include "ibot/eval/analysis_options.h"
#include "ibot/eval/features.h"
#include "ibot/eval/fine_tune_options.h"
#include "ibot/eval/linear_options.h"
#include "ibot/eval/robustness_options.h"
#include "ibot/eval/segment_options.h"
#include "ibot/image/training_options.h"

namespace ibot::apps {

struct EvalConfig {
  config::RunConfig run;
  eval::FeatureOptions features;
  data::DatasetOptions dataset;
  eval::LinearOptions linear;
  data::TrainingTransformOptions transform;
  batch::MixingOptions mixing;
  eval::FineTuneOptions finetune;
  eval::FineTuneOptions semi = eval::semi_supervised_defaults();
  eval::FineTuneOptions transfer = eval::transfer_defaults();
  eval::SegmentOptions segment;
  eval::RobustnessOptions robustness;
  eval::AttentionOptions attention;
  eval::CorrespondenceOptions correspondence;
  eval::PatternOptions patterns;
  eval::PartOptions parts;

  /// Calls `section(name, options)` for each section.
  template <class Visitor>
  void sections(Visitor&& section) {
    run.sections(section);
    section("features", features);
    section("dataset", dataset);
    section("linear", linear);
    section("transform", transform);
    section("mixing", mixing);
    section("finetune", finetune);
    section("semi", semi);
    section("transfer", transfer);
    section("segment", segment);
    section("robustness", robustness);
    section("attention", attention);
    section("correspondence", correspondence);
    section("patterns", patterns);
    section("parts", parts);
  }
};

}  // namespace ibot::apps
