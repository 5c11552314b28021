#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "ibot-doctor/checks.h"

namespace ibot::apps {
namespace {

/// Median seconds of an all-reduce of `count` floats.
double all_reduce_s(const dist::Group& group, torch::Device device, int64_t count,
                    int repetitions) {
  const auto tensor = torch::ones({count}, torch::dtype(torch::kFloat).device(device));
  std::vector<double> times;
  for (int i = 0; i <= repetitions; ++i) {
    group.barrier();
    const auto start = std::chrono::steady_clock::now();
    group.all_reduce_(tensor, dist::Reduction::kMean);
    tensor[0].item();  // waits for the device
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    if (i > 0) times.push_back(time.count());  // the first one connects
  }
  std::nth_element(times.begin(), times.begin() + repetitions / 2, times.end());
  return times[static_cast<size_t>(repetitions / 2)];
}

bool adds_right(const dist::Group& group, torch::Device device) {
  const auto sum = torch::full({1024}, static_cast<double>(group.rank() + 1),
                               torch::dtype(torch::kFloat).device(device));
  group.all_reduce_(sum, dist::Reduction::kSum);
  const auto size = static_cast<double>(group.size());
  return sum.eq(size * (size + 1) / 2).all().item<bool>();
}

}  // namespace

Finding check_network(const dist::Group& group, torch::Device device) {
  if (group.size() == 1) {
    return {"ranks", Verdict::kSkipped, "one; start it as training is started to try the network"};
  }
  const char* remedy =
      device.is_cuda()
          ? "NCCL_DEBUG=INFO tells which way NCCL takes; NCCL_SOCKET_IFNAME selects the interface"
          : "GLOO_SOCKET_IFNAME selects the interface, IBOT_NODE_ADDRESS an address";
  if (!adds_right(group, device)) {
    return {"ranks", Verdict::kFailed, "an all-reduce gives wrong sums", remedy};
  }
  constexpr int64_t kBucket = (25 << 20) / 4;    // floats of a bucket of gradients
  constexpr double kGradientBytes = 4 * 22.0e6;  // of ViT-S/16
  const double latency = all_reduce_s(group, device, 1, 20);
  const double time = all_reduce_s(group, device, kBucket, 5);
  const auto size = static_cast<double>(group.size());
  // What each rank sends and receives in a ring (NCCL's "bus bandwidth").
  const double bandwidth = 2 * (size - 1) / size * 4.0 * kBucket / time;
  const double least = device.is_cuda() ? 2e9 : 1e8;
  const bool slow = bandwidth < least;
  return {"ranks",
          slow ? Verdict::kWarning : Verdict::kOk,
          concat(group.size(), ": all-reduce ", std::llround(bandwidth / 1e6), " MB/s, latency ",
                 std::llround(latency * 1e6), " us; gradients of ViT-S/16 take ",
                 std::llround(1e3 * time * kGradientBytes / (4.0 * kBucket)), " ms a step"),
          slow ? remedy : "",
          {{"ranks", group.size()}, {"bytes_per_s", bandwidth}, {"latency_s", latency}}};
}

}  // namespace ibot::apps
