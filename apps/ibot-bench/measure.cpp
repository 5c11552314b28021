#include "ibot-bench/measure.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "ibot/base/memory.h"

namespace ibot::apps {
namespace {

/// Waits until the device has done what it was given.
void synchronize(torch::Device device) {
  if (!device.is_cpu()) torch::zeros({1}, device).item<float>();
}

double quantile(const std::vector<double>& sorted, double share) {
  return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5)];
}

}  // namespace

void measure(const BenchCase& bench, const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  work();
  synchronize(bench.device);
  std::vector<double> seconds;
  for (int i = 0; i < bench.repetitions; ++i) {
    const auto start = Clock::now();
    work();
    synchronize(bench.device);
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::sort(seconds.begin(), seconds.end());
  const double median = quantile(seconds, 0.5);
  nlohmann::ordered_json line{{"case", bench.name},
                              {"images_per_s", bench.images / median},
                              {"median_s", median},
                              {"p10_s", quantile(seconds, 0.1)},
                              {"p90_s", quantile(seconds, 0.9)},
                              {"peak_memory_bytes", peak_memory_bytes(bench.device)},
                              {"threads", at::get_num_threads()},
                              {"device", bench.device.str()}};
  if (bench.flops > 0) {
    line["flops"] = bench.flops;
    line["flops_per_s"] = bench.flops / median;
  }
  std::cout << line.dump() << std::endl;
}

}  // namespace ibot::apps
