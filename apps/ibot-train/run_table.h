// Runs next to each other: what differs, and what came of it.
#pragma once

#include <string>
#include <vector>

#include "ibot/report/run_record.h"

namespace ibot::apps {

/// Rows of runs, the best first.
///
///   columns      differing keys, then "state", "step", "run", then results
///   shown        for each column whether it is in the text; a file of values holds all
///   hidden_keys  number of differing keys, where there are too many for the text
///   metric       the result by which rows are sorted; empty if there is none
struct RunTable {
  std::vector<std::string> columns;
  std::vector<bool> shown;
  std::vector<std::vector<std::string>> rows;
  size_t hidden_keys = 0;
  std::string metric;
};

/// The table of runs with the state of each, "done" or "failed". Sorted by `metric`, by default
/// report::main_result; losses and errors rise, others fall. Finished runs come first, those that
/// failed last, and among these runs without that result. Throws ConfigError if no run has the
/// named metric.
RunTable run_table(const std::vector<report::RunRecord>& runs,
                   const std::vector<std::string>& states, const std::string& metric = "");

/// "done", or how far the run has come.
std::vector<std::string> states_of(const std::vector<report::RunRecord>& runs);

/// Aligned columns.
std::string as_text(const RunTable& table);

/// RFC 4180, with a line of names.
std::string as_csv(const RunTable& table);

}  // namespace ibot::apps
