// Parallel loop over items.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace ibot::data {

/// Calls `visit` once for each of 0 to count - 1, on `workers` threads. An exception ends the loop
/// and is rethrown.
inline void for_each(int64_t count, int64_t workers, const std::function<void(int64_t)>& visit) {
  std::atomic<int64_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      for (int64_t item = next++; item < count; item = next++) visit(item);
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < workers; ++i) threads.emplace_back(work);
  for (auto& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace ibot::data
