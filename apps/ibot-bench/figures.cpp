#include "ibot-bench/figures.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <sys/resource.h>
#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "common/output_folder.h"
#include "ibot/base/memory.h"
#include "ibot/base/version.h"
#include "ibot/io/file.h"

namespace ibot::apps {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

/// Waits until the device has done what it was given.
void synchronize(torch::Device device) {
  if (!device.is_cpu()) torch::zeros({1}, device).item<float>();
}

double quantile(const std::vector<double>& sorted, double share) {
  return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5)];
}

double user_seconds() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec);
}

/// As the kernel names it; empty where it does not.
std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return {};
}

}  // namespace

double timed(const std::function<void()>& work, torch::Device device) {
  synchronize(device);
  const auto start = Clock::now();
  work();
  synchronize(device);
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Figures::Figures(std::string command, std::string file)
    : command_(std::move(command)), file_(std::move(file)) {
  if (!file_.empty()) check_file(file_);
}

void Figures::measure(const BenchCase& bench, const BenchRuns& runs,
                      const std::function<void()>& work) {
  measure_in_turn({{bench, work}}, runs);
}

void Figures::measure_in_turn(const std::vector<BenchWork>& works, const BenchRuns& runs) {
  for (const auto& work : works) {
    work.before();
    work.run();
    work.after();
  }
  std::vector<BenchTimes> times(works.size());
  for (int repetition = 0; repetition < runs.repetitions; ++repetition) {
    for (size_t i = 0; i < works.size(); ++i) {
      works[i].before();
      const double user_before = user_seconds();
      times[i].seconds.push_back(timed(works[i].run, runs.device));
      times[i].user_s += user_seconds() - user_before;
      works[i].after();
    }
  }
  for (size_t i = 0; i < works.size(); ++i) add(works[i].bench, std::move(times[i]), runs.device);
}

void Figures::add(const BenchCase& bench, BenchTimes times, torch::Device device) {
  auto& seconds = times.seconds;
  std::sort(seconds.begin(), seconds.end());
  const double median = quantile(seconds, 0.5);
  Json line{{"case", bench.name}};
  if (bench.images > 0) line["images_per_s"] = bench.images / median;
  line.update({{"median_s", median},
               {"p10_s", quantile(seconds, 0.1)},
               {"p90_s", quantile(seconds, 0.9)},
               {"peak_memory_bytes", peak_memory_bytes(device)},
               {"threads", at::get_num_threads()},
               {"device", device.str()}});
  if (times.user_s > 0) line["user_s"] = times.user_s / static_cast<double>(seconds.size());
  if (bench.flops > 0) {
    line.update({{"flops", bench.flops}, {"flops_per_s", bench.flops / median}});
  }
  if (bench.bytes > 0) line["bytes_per_s"] = bench.bytes / median;
  if (bench.calls > 0) line["calls"] = bench.calls;
  if (!bench.losses.empty()) line["losses"] = bench.losses;
  lines_.push_back(line.dump());
  std::cout << lines_.back() << std::endl;
}

void Figures::finish() const {
  if (file_.empty()) return;
  Json record{{"command", command_},
              {"version", kVersion},
              {"commit", commit()},
              {"torch", TORCH_VERSION},
              {"machine",
               {{"processor", processor()}, {"processors", std::thread::hardware_concurrency()}}},
              {"cases", Json::array()}};
  for (const auto& line : lines_) record["cases"].push_back(Json::parse(line));
  io::write_file(file_, record.dump(2) + "\n");
}

}  // namespace ibot::apps
