#include "ibot-eval/comparison.h"

#include <algorithm>
#include <iomanip>
#include <map>
#include <sstream>

#include "ibot-eval/csv.h"
#include "ibot/base/error.h"
#include "ibot/base/natural_order.h"
#include "ibot/base/option_text.h"
#include "ibot/eval/page.h"
#include "ibot/io/file.h"

namespace ibot::apps {
namespace {

std::string shown(double value) { return concat(std::fixed, std::setprecision(2), value); }

}  // namespace

void Comparison::add(const std::string& name, const eval::Report& report) {
  rows_.push_back({name, report.weights, report.metrics});
}

std::vector<std::string> Comparison::columns() const {
  std::vector<std::string> names;
  for (const auto& [metric, value] : rows_.front().metrics) {
    const bool everywhere = std::all_of(
        rows_.begin(), rows_.end(), [&](const Row& row) { return row.metrics.count(metric) > 0; });
    if (everywhere) names.push_back(metric);
  }
  std::sort(names.begin(), names.end(), natural_less);
  return names;
}

eval::Table Comparison::table() const {
  eval::Table table{task_, {"weights"}, {}};
  const auto names = columns();
  table.header.insert(table.header.end(), names.begin(), names.end());
  for (const auto& row : rows_) {
    auto& cells = table.rows.emplace_back(std::vector<std::string>{row.name});
    for (const auto& name : names) cells.push_back(shown(row.metrics.at(name)));
  }
  return table;
}

std::string Comparison::text() const {
  const auto shown_table = table();
  auto lines = shown_table.rows;
  lines.insert(lines.begin(), shown_table.header);
  std::ostringstream text;
  for (const auto& line : lines) {
    for (size_t column = 0; column < line.size(); ++column) {
      size_t width = 0;
      for (const auto& other : lines) width = std::max(width, other[column].size());
      const auto pad = static_cast<int>(width);
      if (column > 0) text << "  " << std::right << std::setw(pad) << line[column];
      if (column == 0) text << std::left << std::setw(pad) << line[column];
    }
    text << '\n';
  }
  return text.str();
}

void Comparison::write(const std::filesystem::path& folder) const {
  const auto names = columns();
  std::string csv = "weights,file";
  for (const auto& name : names) csv += concat(",", csv_cell(name));
  csv += "\r\n";
  for (const auto& row : rows_) {
    csv += concat(csv_cell(row.name), ",", csv_cell(row.weights));
    for (const auto& name : names) csv += concat(",", option_text(row.metrics.at(name)));
    csv += "\r\n";
  }
  io::write_file(folder / "comparison.csv", csv);
  eval::Page page("ibot-eval " + task_);
  page.table(table());
  io::write_file(folder / "report.html", page.html());
}

}  // namespace ibot::apps
