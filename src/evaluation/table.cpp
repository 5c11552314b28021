#include "evaluation/table.h"

#include <cstdarg>
#include <cstdio>

namespace ibot::evaluation {

std::string table_line(const char* format, ...) {
  char line[256];
  va_list values;
  va_start(values, format);
  std::vsnprintf(line, sizeof line, format, values);
  va_end(values);
  return std::string(line) + '\n';
}

std::string cluster_table(const std::map<std::string, double>& metrics) {
  return table_line("%8s %8s %8s %8s", "ACC", "ARI", "NMI", "FMI") +
         table_line("%8.2f %8.2f %8.2f %8.2f", metrics.at("acc"), metrics.at("ari"),
                    metrics.at("nmi"), metrics.at("fmi"));
}

}  // namespace ibot::evaluation
