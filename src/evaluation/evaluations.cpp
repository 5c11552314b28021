#include "ibot/evaluation/evaluations.h"

#include <algorithm>

#include "ibot/base/error.h"

namespace ibot::evaluation {
namespace {

/// Takes the one of that name out of `all`.
Planned take(std::vector<Planned>& all, const std::string& name) {
  std::string known;
  for (auto& planned : all) {
    const auto& own = planned.evaluation->about().name;
    if (own == name) return std::move(planned);
    known += (known.empty() ? "" : " | ") + own;
  }
  throw ConfigError(concat("eval.tasks: expected ", known, ", got ", name));
}

}  // namespace

std::unique_ptr<Data> Evaluation::open(const std::filesystem::path&) const { return nullptr; }

void Evaluation::prepare(const Inputs&, const Listener&) const {}

std::vector<Planned> evaluations(const eval::InRunOptions& knn,
                                 const eval::EvaluationOptions& others) {
  std::vector<Planned> all;
  // k-NN has its keys in the section of in-run evaluations, the others one of their own each.
  all.push_back({make(eval::KnnOptions{knn.k, knn.temperature}), knn.every_epochs});
  std::apply(
      [&](const auto&... options) {
        (all.push_back({make(options), options.every_epochs}), ...);
      },
      others.all);
  return all;
}

std::vector<Planned> planned(const eval::InRunOptions& knn, const eval::EvaluationOptions& others) {
  std::vector<Planned> chosen;
  for (auto name = knn.tasks.begin(); name != knn.tasks.end(); ++name) {
    IBOT_CHECK_AS(ConfigError, std::find(knn.tasks.begin(), name, *name) == name,
                  "eval.tasks: expected each evaluation once, got ", *name, " twice");
    // Made anew for each name: take() moves one out.
    auto all = evaluations(knn, others);
    chosen.push_back(take(all, *name));
  }
  return chosen;
}

}  // namespace ibot::evaluation
