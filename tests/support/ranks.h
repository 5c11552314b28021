// Several ranks in one process.
#pragma once

#include <cstdlib>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

#include "ibot/dist/rendezvous.h"

namespace ibot::testing {

/// How the ranks of a test find each other: through a store that the test holds.
inline dist::Launch launch_into(const dist::RankStore& store, int64_t rank, int64_t world) {
  // LibTorch keeps one record of communication a process and adds groups to it without a lock,
  // since a process is one rank elsewhere. Without room it keeps none.
  [[maybe_unused]] static const int no_record = ::setenv("TORCH_FR_BUFFER_SIZE", "0", 0);
  dist::Launch launch;
  launch.rank = rank;
  launch.world = world;
  launch.master_address = "127.0.0.1";
  launch.master_port = store.port();
  launch.store_served = true;
  return launch;
}

/// Calls `body` for each of `count` ranks on a thread of its own; throws what the first rank that
/// failed threw. Throws ConfigError where this build lacks Gloo.
inline void run_ranks(int64_t count, const std::function<void(const dist::Group&)>& body) {
  dist::check_backend(torch::kCPU);
  const dist::RankStore store;
  std::vector<std::exception_ptr> failures(static_cast<size_t>(count));
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < count; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        body(dist::connect(
            launch_into(store, rank, count),
            {.rank_timeout = std::chrono::seconds(20), .join_timeout = std::chrono::seconds(20)}));
      } catch (...) {
        failures[static_cast<size_t>(rank)] = std::current_exception();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

/// Whether this build can run several ranks.
inline bool has_ranks() {
  try {
    dist::check_backend(torch::kCPU);
    return true;
  } catch (const ConfigError&) {
    return false;
  }
}

}  // namespace ibot::testing

#define IBOT_NEEDS_RANKS() \
  if (!::ibot::testing::has_ranks()) GTEST_SKIP() << "this build has no Gloo"
