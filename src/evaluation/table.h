// Lines of printed results.
#pragma once

#include <map>
#include <string>

namespace ibot::evaluation {

/// One line, its end included, as printf writes it.
[[gnu::format(printf, 1, 2)]] std::string table_line(const char* format, ...);

/// acc, ari, nmi and fmi under their names.
std::string cluster_table(const std::map<std::string, double>& metrics);

}  // namespace ibot::evaluation
