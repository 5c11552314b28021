// All options of a pre-training run, in the order of the data flow.
#pragma once

#include "ibot/config/yaml.h"
#include "ibot/eval/evaluation_options.h"
#include "ibot/eval/in_run_options.h"
#include "ibot/image/augment_options.h"
#include "ibot/loading/data_options.h"
#include "ibot/loss/loss_options.h"
#include "ibot/mask/mask_options.h"
#include "ibot/models/backbone_options.h"
#include "ibot/models/head_options.h"
#include "ibot/optim/optim_options.h"
#include "ibot/optim/schedule_options.h"
#include "ibot/train/train_options.h"

namespace ibot::config {

struct RunConfig {
  data::DataOptions data;
  data::AugmentOptions augment;
  mask::MaskOptions mask;
  models::BackboneOptions backbone;
  models::HeadOptions head;
  loss::LossOptions loss;
  optim::OptimOptions optim;
  optim::ScheduleOptions schedule;
  train::TrainOptions train;
  eval::InRunOptions eval;
  eval::EvaluationOptions evaluations;

  /// Calls `section(name, options)` for each section.
  template <class Visitor>
  void sections(Visitor&& section) {
    section("data", data);
    section("augment", augment);
    section("mask", mask);
    section("backbone", backbone);
    section("head", head);
    section("loss", loss);
    section("optim", optim);
    section("schedule", schedule);
    section("train", train);
    section("eval", eval);
    evaluations.sections(section);
  }
};

/// Throws OptionError, its key "section.key", unless every section is in range and sections are
/// consistent: crop sizes are multiples of the patch size, and the crops that the loss compares
/// exist. Paths, devices and precisions are checked where they are used.
void validate(const RunConfig& config);

// Once for all: a visit of some two hundred fields is long to compile.
extern template Sections sections_of(RunConfig& config);
extern template void validate_sections(RunConfig config);

}  // namespace ibot::config
