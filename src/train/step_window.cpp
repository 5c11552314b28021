#include "ibot/train/step_window.h"

#include <algorithm>
#include <utility>

#include "ibot/base/error.h"

namespace ibot::train {
namespace {

constexpr const char* kFaulty = "faulty";
const std::string kTermColumn = "loss_";

}  // namespace

bool WindowResults::has(const std::string& name) const {
  return std::find(columns.begin(), columns.end(), name) != columns.end();
}

torch::Tensor WindowResults::column(const std::string& name) const {
  const auto place = std::find(columns.begin(), columns.end(), name);
  IBOT_CHECK(place != columns.end(), "steps: no column ", name);
  return rows.select(1, place - columns.begin());
}

WindowResults WindowResults::counted() const {
  auto kept = *this;
  // The mean over ranks is 0 only where no rank found a fault.
  kept.rows = rows.index({column(kFaulty) == 0});
  return kept;
}

double WindowResults::sum(const std::string& name) const {
  return column(name).sum().item<double>();
}

TermValues WindowResults::term_sums() const {
  TermValues sums;
  for (const auto& name : columns) {
    if (name.rfind(kTermColumn, 0) != 0) continue;
    sums.push_back({name.substr(kTermColumn.size()), sum(name)});
  }
  return sums;
}

TermValues WindowResults::more_sums() const {
  TermValues sums;
  for (const auto& name : columns) {
    if (name.rfind("loss", 0) == 0 || name == "grad_norm" || name == kFaulty) continue;
    sums.push_back({name, sum(name)});
  }
  return sums;
}

void StepWindow::add(StepColumns step) {
  columns_.clear();
  std::vector<torch::Tensor> row;
  for (auto& [name, value] : step.scalars) {
    columns_.push_back(name);
    row.push_back(std::move(value));
  }
  columns_.emplace_back(kFaulty);
  row.push_back(step.faulty.defined() ? step.faulty : torch::zeros_like(row.front()));
  // On the device: nothing waits for it.
  rows_.push_back(torch::stack(row));
}

WindowResults StepWindow::read(const dist::Group& group) {
  // One all-reduce per window instead of one per step and value.
  const auto reduced = torch::stack(rows_);
  group.all_reduce_(reduced, dist::Reduction::kMean);
  WindowResults results;
  results.columns = columns_;
  results.rows = reduced.to(torch::kCPU, torch::kDouble);  // [steps, columns]
  group.check();  // after a lost rank, a GPU returns meaningless values
  *this = {};
  return results;
}

}  // namespace ibot::train
