#include "ibot-bench/profile_bench.h"

#include <torch/csrc/autograd/profiler_kineto.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <map>

#include "ibot-bench/step_subject.h"

namespace ibot::apps {
namespace {

namespace profiler = torch::autograd::profiler;
using profiler::KinetoEvent;

constexpr size_t kNamed = 15;

/// Time and calls of one operation in all recorded steps.
struct Spent {
  double seconds = 0.0;
  double calls = 0.0;
};

using SpentByName = std::map<std::string, Spent>;

/// Parts of names, lower case; the first row with one that fits decides.
const std::array<std::pair<std::string_view, std::vector<std::string_view>>, 7> kKinds{
    {{"comm", {"nccl", "c10d", "allreduce", "all_reduce", "broadcast"}},
     {"attention", {"flash", "fmha", "attention"}},
     {"optimizer", {"adam", "foreach", "multi_tensor", "lerp"}},
     {"loss", {"softmax", "cross_entropy"}},
     {"norm", {"norm", "gammabeta"}},
     {"matmul",
      {"gemm", "::mm", "::addmm", "::bmm", "addmm", "linear", "matmul", "conv", "xmma", "wgmma",
       "cutlass", "mmbackward", "nvjet"}},
     {"copies",
      {"copy", "memcpy", "memset", "fill", "zero", "::cat", "concat", "index", "gather", "scatter",
       "clone", "::to", "contiguous", "pack"}}}};

std::unique_ptr<profiler::ProfilerResult> recorded(const std::function<void()>& work,
                                                   torch::Device device) {
  using torch::profiler::impl::ActivityType;
  const torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
  std::set<ActivityType> activities{ActivityType::CPU};
  // Without a GPU the profiler's library complains that it finds none.
  if (!device.is_cuda()) ::setenv("KINETO_LOG_LEVEL", "9", /*overwrite=*/0);
  if (device.is_cuda()) activities.insert(ActivityType::CUDA);
  profiler::prepareProfiler(config, activities);
  profiler::enableProfiler(config, activities, {at::RecordScope::FUNCTION});
  work();
  return profiler::disableProfiler();
}

SpentByName kernels(const std::vector<KinetoEvent>& events) {
  SpentByName spent;
  for (const auto& event : events) {
    if (event.deviceType() != torch::kCUDA) continue;
    auto& [seconds, calls] = spent[event.name()];
    seconds += 1e-9 * static_cast<double>(event.durationNs());
    calls += 1;
  }
  return spent;
}

/// Each operator's time less that of the operators within it.
SpentByName operators(const std::vector<KinetoEvent>& events) {
  std::map<uint64_t, std::vector<const KinetoEvent*>> threads;
  for (const auto& event : events) {
    if (event.deviceType() == torch::kCPU) threads[event.startThreadId()].push_back(&event);
  }
  SpentByName spent;
  for (auto& [thread, own] : threads) {
    std::sort(own.begin(), own.end(), [](const auto* a, const auto* b) {
      return std::pair(a->startNs(), b->endNs()) < std::pair(b->startNs(), a->endNs());
    });
    std::vector<const KinetoEvent*> open;
    for (const auto* event : own) {
      while (!open.empty() && open.back()->endNs() <= event->startNs()) open.pop_back();
      const double seconds = 1e-9 * static_cast<double>(event->durationNs());
      if (!open.empty()) spent[open.back()->name()].seconds -= seconds;
      spent[event->name()].seconds += seconds;
      spent[event->name()].calls += 1;
      open.push_back(event);
    }
  }
  return spent;
}

void tell(const std::string& name, const Spent& spent, const BenchRuns& runs, Figures& figures) {
  const auto steps = static_cast<double>(runs.repetitions);
  figures.add({.name = "profile." + name, .calls = spent.calls / steps},
              {.seconds = {spent.seconds / steps}}, runs.device);
}

SpentByName by_kind(const SpentByName& operations) {
  SpentByName kinds;
  for (const auto& [name, spent] : operations) {
    auto& kind = kinds[std::string(operation_kind(name))];
    kind.seconds += spent.seconds;
    kind.calls += spent.calls;
  }
  return kinds;
}

}  // namespace

std::string_view operation_kind(const std::string& name) {
  std::string lower = name;
  for (auto& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const auto& [kind, parts] : kKinds) {
    for (const auto& part : parts) {
      if (lower.find(part) != std::string::npos) return kind;
    }
  }
  return "elementwise";
}

void bench_profile(const config::RunConfig& config, const BenchRuns& runs, Figures& figures) {
  StepSubject subject(config, runs.device);
  subject.run();
  double wall_s = 0.0;
  const auto result = recorded(
      [&] {
        wall_s = timed(
            [&] {
              for (int i = 0; i < runs.repetitions; ++i) subject.run();
            },
            runs.device);
      },
      runs.device);
  const auto operations =
      runs.device.is_cuda() ? kernels(result->events()) : operators(result->events());
  Spent all;
  for (const auto& [name, spent] : operations) {
    all.seconds += spent.seconds;
    all.calls += spent.calls;
  }
  tell("step", {wall_s, all.calls}, runs, figures);
  for (const auto& [kind, spent] : by_kind(operations)) tell(kind, spent, runs, figures);
  tell("outside", {std::max(0.0, wall_s - all.seconds), 0}, runs, figures);
  std::vector<std::pair<std::string, Spent>> longest(operations.begin(), operations.end());
  std::sort(longest.begin(), longest.end(),
            [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
  longest.resize(std::min(longest.size(), kNamed));
  for (const auto& [name, spent] : longest) tell("of " + name, spent, runs, figures);
}

}  // namespace ibot::apps
