#include "ibot-eval/cluster_table.h"

#include <cstdio>

namespace ibot::apps {

void print_cluster_metrics(const std::map<std::string, double>& metrics) {
  std::printf("%8s %8s %8s %8s\n", "ACC", "ARI", "NMI", "FMI");
  std::printf("%8.2f %8.2f %8.2f %8.2f\n", metrics.at("acc"), metrics.at("ari"), metrics.at("nmi"),
              metrics.at("fmi"));
}

}  // namespace ibot::apps
