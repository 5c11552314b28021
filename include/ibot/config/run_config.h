// Everything a pre-training run can be told, in the order of the stream.
#pragma once

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

/// Throws OptionError, its key "section.key", unless every section is in range and they fit each
/// other: crops are whole numbers of patches, and those that are compared exist. Whether a path, a
/// device or a precision can be used is found out by who uses it.
void validate(const RunConfig& config);

}  // namespace ibot::config
