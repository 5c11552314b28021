#include <cstdio>

#include "ibot/eval/knn.h"
#include "ibot/io/safetensors.h"
#include "ibot/metrics/cluster_metrics.h"

int main() {
  const ibot::eval::FeatureBank bank{torch::eye(3), torch::arange(3), torch::arange(3), "consumer"};
  ibot::io::write_safetensors("bank.safetensors", {{{"features", bank.features}}, {}});
  const auto again = ibot::io::read_safetensors("bank.safetensors").tensors.at("features");
  ibot::metrics::ClusterTable table;
  table.add(bank.labels, bank.labels);
  const auto accuracy =
      ibot::eval::classify_knn(bank, {again, bank.labels, bank.sample_id, ""}, {{1}, 0.07});
  std::printf("%g %g\n", accuracy.at(0).top1, table.metrics().nmi);
  return accuracy.at(0).top1 == 100 && table.metrics().nmi == 1 ? 0 : 1;
}
