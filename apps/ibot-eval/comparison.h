// Results of several weights, side by side.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "ibot/eval/report.h"

namespace ibot::apps {

class Comparison {
 public:
  explicit Comparison(std::string task) : task_(std::move(task)) {}

  void add(const std::string& name, const eval::Report& report);
  size_t rows() const { return rows_.size(); }
  /// A row for each of the weights, a column for each metric that all of them have.
  std::string text() const;
  /// FOLDER/comparison.csv, with every digit, and FOLDER/report.html.
  void write(const std::filesystem::path& folder) const;

 private:
  struct Row {
    std::string name;
    std::string weights;
    std::map<std::string, double> metrics;
  };

  std::vector<std::string> columns() const;
  eval::Table table() const;

  std::string task_;
  std::vector<Row> rows_;
};

}  // namespace ibot::apps
