// Repeated timing of one piece of work, and how it is told.
#pragma once

#include <torch/types.h>

#include <functional>
#include <string>

namespace ibot::apps {

/// One case: a name, how many images one repetition handles, and what to know besides.
struct BenchCase {
  std::string name;
  double images = 1.0;
  double flops = 0.0;  // of one repetition; 0: not counted
  torch::Device device = torch::kCPU;
  int repetitions = 10;
};

/// Runs `work` once to warm up, then `repetitions` times, waiting for the device after each, and
/// prints one line of JSON: case, images_per_s, median_s, p10_s, p90_s, peak_memory_bytes, threads,
/// device, and where counted flops and flops_per_s.
void measure(const BenchCase& bench, const std::function<void()>& work);

}  // namespace ibot::apps
