// The printed result of a clustering.
#pragma once

#include <map>
#include <string>

namespace ibot::apps {

/// One line of acc, ari, nmi and fmi under their names.
void print_cluster_metrics(const std::map<std::string, double>& metrics);

}  // namespace ibot::apps
