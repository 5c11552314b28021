// The options of all evaluations that a run can have besides k-NN, whose own are those of `eval`.
#pragma once

#include <cstdint>
#include <tuple>

#include "ibot/base/error.h"
#include "ibot/base/fields.h"
#include "ibot/eval/cluster_options.h"
#include "ibot/eval/copy_options.h"
#include "ibot/eval/kmeans_options.h"
#include "ibot/eval/linear_options.h"
#include "ibot/eval/logistic_options.h"
#include "ibot/eval/retrieval_options.h"
#include "ibot/eval/video_options.h"

namespace ibot::eval {

/// An evaluation's options, and how often a run evaluates by it.
template <class Options>
struct Scheduled : Options {
  int64_t every_epochs = 10;

  template <class Visitor>
  void fields(Visitor&& field) {
    Options::fields(field);
    field("every_epochs", every_epochs,
          "epochs between such evaluations of a training run; the last one always", Effect::kNone);
  }

  void validate() const {
    Options::validate();
    check_option(every_epochs > 0, "every_epochs", "expected above 0, got ", every_epochs);
  }
};

/// One line an evaluation: its section is Options::kSection, its name, and `evaluation::make` of
/// its options makes it.
using ScheduledEvaluations = std::tuple<Scheduled<LinearOptions>,     //
                                        Scheduled<LogisticOptions>,   //
                                        Scheduled<KmeansOptions>,     //
                                        Scheduled<ClusterOptions>,    //
                                        Scheduled<RetrievalOptions>,  //
                                        Scheduled<CopyOptions>,       //
                                        Scheduled<VideoOptions>>;

struct EvaluationOptions {
  ScheduledEvaluations all;

  template <class Options>
  const Options& of() const {
    return std::get<Scheduled<Options>>(all);
  }

  /// Calls `section(name, options)` for each evaluation.
  template <class Visitor>
  void sections(Visitor&& section) {
    std::apply([&](auto&... options) { (section(options.kSection, options), ...); }, all);
  }
};

}  // namespace ibot::eval
