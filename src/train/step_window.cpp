#include "ibot/train/step_window.h"

#include <algorithm>
#include <utility>

#include "ibot/base/error.h"

namespace ibot::train {
namespace {

constexpr const char* kFaulty = "faulty";
const std::string kTermPrefix = "loss_";

}  // namespace

torch::Tensor WindowResults::column(const std::string& name) const {
  const auto place = std::find(columns.begin(), columns.end(), name);
  IBOT_CHECK(place != columns.end(), "steps: no column ", name);
  return rows.select(1, place - columns.begin());
}

WindowResults WindowResults::counted() const {
  auto kept = *this;
  kept.rows = rows.index({column(kFaulty) == 0});
  return kept;
}

double WindowResults::sum(const std::string& name) const {
  return column(name).sum().item<double>();
}

TermValues WindowResults::term_sums() const {
  TermValues sums;
  for (const auto& name : columns) {
    if (name.rfind(kTermPrefix, 0) != 0) continue;
    sums.push_back({name.substr(kTermPrefix.size()), sum(name)});
  }
  return sums;
}

void StepWindow::add(StepResult result, const torch::Tensor& label) {
  columns_ = {"loss"};
  std::vector<torch::Tensor> row{result.loss.total};
  for (const auto& term : result.loss.terms) {
    columns_.push_back(kTermPrefix + std::string(term.name));
    row.push_back(term.value);
  }
  columns_.insert(columns_.end(), {"grad_norm", "agreement", kFaulty});
  row.insert(row.end(),
             {result.grad_norm, result.agreement,
              result.faulty.defined() ? result.faulty : torch::zeros_like(result.loss.total)});
  rows_.push_back(torch::stack(row));
  sample_ = std::move(result.health);
  clusters_.push_back(result.cluster);
  labels_.push_back(label);
}

WindowResults StepWindow::read(const dist::Group& group) {
  const auto reduced = torch::stack(rows_);
  group.all_reduce_(reduced, dist::Reduction::kMean);
  WindowResults results;
  results.columns = columns_;
  results.rows = reduced.to(torch::kCPU, torch::kDouble);  // [steps, columns]
  group.check();  // a GPU whose group has lost a rank returns, but with nothing of worth
  results.labels = group.all_gather(torch::cat(labels_)).flatten();
  results.clusters = group.all_gather(torch::cat(clusters_)).flatten().to(torch::kCPU);
  if (sample_) results.health = read_health(*sample_, group);
  *this = {};
  return results;
}

}  // namespace ibot::train
