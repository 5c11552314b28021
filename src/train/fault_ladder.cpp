#include "ibot/train/fault_ladder.h"

#include <iterator>
#include <utility>

#include "ibot/base/error.h"
#include "train/device_mark.h"

namespace ibot::train {
namespace {

/// Batches held for the device at most; beyond that the oldest can no longer be kept in a file.
constexpr std::ptrdiff_t kMostHeld = 8;

}  // namespace

struct FaultLadder::Watched {
  int64_t step;
  Keep write;
  torch::Tensor faulty;  // in host memory once `known` is reached
  DeviceMark known;
};

FaultLadder::FaultLadder(FaultLadderOptions options) : options_(std::move(options)) {}
FaultLadder::~FaultLadder() = default;

void FaultLadder::watch(int64_t step, Keep keep, const torch::Tensor& faulty) {
  const auto device = faulty.device();
  // The copy is only started: the host goes on submitting work.
  auto host = faulty.to(torch::kCPU, torch::kFloat, /*non_blocking=*/true);
  watched_.push_back({step, std::move(keep), std::move(host), DeviceMark(device)});
  // The step is still watched; its batch is let go.
  if (std::ssize(watched_) > kMostHeld) std::prev(watched_.end(), kMostHeld + 1)->write = {};
}

std::vector<SkippedStep> FaultLadder::settle(bool wait) {
  std::vector<SkippedStep> skipped;
  while (!watched_.empty() && (wait || watched_.front().known.reached())) {
    const auto& next = watched_.front();
    next.known.wait();
    last_counted_ = next.faulty.item<float>() == 0;
    if (!last_counted_) {
      // A roll back goes to before the first of a row.
      if (in_a_row_++ == 0) first_ = next.step;
      skipped.push_back({next.step, keep(next)});
    } else {
      in_a_row_ = 0;
    }
    watched_.pop_front();
  }
  return skipped;
}

void FaultLadder::rolled_back() {
  ++roll_backs_;
  in_a_row_ = 0;
  watched_.clear();
}

std::string FaultLadder::keep(const Watched& watched) const {
  if (options_.replay.empty() || !watched.write) return "batch not kept";
  std::error_code absent;
  // Across restarts: a run that fails for days must not fill the disk.
  const auto kept = std::distance(std::filesystem::directory_iterator(options_.replay, absent), {});
  if (kept >= options_.most_batches) {
    return concat("batch not kept: ", options_.replay.string(), " holds ", kept);
  }
  const auto path = options_.replay / concat("step-", watched.step, ".safetensors");
  try {
    std::filesystem::create_directories(options_.replay);
    watched.write(path, watched.step);
  } catch (const std::exception& problem) {
    return concat("batch not kept: ", problem.what());
  }
  return "batch in " + path.string();
}

}  // namespace ibot::train
