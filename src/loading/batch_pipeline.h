// Worker threads that fill batches in advance; batches are yielded strictly in order.
#pragma once

#include <ATen/Context.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace ibot::data {

/// The current GPU of the constructing thread, if any. Pinned memory is allocated in the context of
/// the current GPU, which in a new thread is number 0 and may belong to another process.
class CurrentGpu {
 public:
  CurrentGpu() {
    if (at::hasCUDA()) device_ = c10::impl::VirtualGuardImpl(c10::kCUDA).getDevice();
  }
  void adopt() const {
    if (device_) c10::impl::VirtualGuardImpl(c10::kCUDA).setDevice(*device_);
  }

 private:
  std::optional<c10::Device> device_;
};

/// A batch consists of tasks, which any threads may run in any order without affecting the result.
///
/// One mutex guards all state. Tasks run unlocked; a slot's batch is touched only by its tasks
/// until `unfinished` is 0, then only by next(), so it needs no lock of its own.
template <class Batch>
class BatchPipeline {
 public:
  struct Work {
    /// Creates the next batch, in order; nullopt at the end. Called under the mutex, by one thread
    /// at a time.
    std::function<std::optional<Batch>()> open;
    /// Number of tasks that fill a batch.
    std::function<int64_t(const Batch&)> tasks;
    /// Runs one task. Called concurrently.
    std::function<void(Batch&, int64_t task)> fill;
  };

  BatchPipeline(Work work, int64_t threads, int64_t prefetch)
      : work_(std::move(work)), prefetch_(prefetch) {
    for (int64_t i = 0; i < threads; ++i) {
      threads_.emplace_back([this, gpu = CurrentGpu()] {
        gpu.adopt();
        run();
      });
    }
  }

  ~BatchPipeline() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    room_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  /// The next batch; nullopt at the end. Rethrows what opening or filling it threw, also when
  /// called again.
  std::optional<Batch> next() {
    std::unique_lock lock(mutex_);
    const auto begin = std::chrono::steady_clock::now();
    ready_.wait(lock,
                [this] { return queue_.empty() ? exhausted_ : queue_.front()->unfinished == 0; });
    waited_ += std::chrono::steady_clock::now() - begin;
    if (queue_.empty()) {
      if (open_failure_) std::rethrow_exception(open_failure_);
      return std::nullopt;
    }
    // A failed batch stays at the head of the queue, so that further calls rethrow too.
    if (queue_.front()->failure) std::rethrow_exception(queue_.front()->failure);
    const auto slot = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    room_.notify_all();
    return std::move(slot->batch);
  }

  double waited_s() const {
    const std::lock_guard lock(mutex_);
    return std::chrono::duration<double>(waited_).count();
  }

 private:
  struct Slot {
    Batch batch;
    int64_t tasks = 0;
    int64_t started = 0;
    int64_t unfinished = 0;
    std::exception_ptr failure;
  };

  /// The first batch with a task that is not yet started, opening a new batch if there is room.
  /// Earlier batches come first, so the head of the queue is finished as early as possible.
  std::shared_ptr<Slot> slot_with_task() {
    for (const auto& slot : queue_) {
      if (slot->started < slot->tasks) return slot;
    }
    if (exhausted_ || static_cast<int64_t>(queue_.size()) >= prefetch_) return nullptr;
    try {
      auto batch = work_.open();
      if (batch) {
        const int64_t tasks = work_.tasks(*batch);
        queue_.push_back(std::make_shared<Slot>(Slot{std::move(*batch), tasks, 0, tasks, nullptr}));
        return queue_.back();
      }
    } catch (...) {
      // next() rethrows it once the batches that are already open have been yielded.
      open_failure_ = std::current_exception();
    }
    exhausted_ = true;
    ready_.notify_all();
    return nullptr;
  }

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      std::shared_ptr<Slot> slot;
      room_.wait(lock, [&] {
        if (stopping_) return true;
        slot = slot_with_task();
        return slot != nullptr || exhausted_;
      });
      if (stopping_ || slot == nullptr) return;
      // The slot stays in the queue until all its tasks are finished, so it can be used unlocked.
      const int64_t task = slot->started++;
      lock.unlock();
      std::exception_ptr failure;
      try {
        work_.fill(slot->batch, task);
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      if (failure && !slot->failure) slot->failure = failure;
      if (--slot->unfinished == 0) ready_.notify_all();
    }
  }

  const Work work_;
  const int64_t prefetch_;
  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::condition_variable ready_;
  std::deque<std::shared_ptr<Slot>> queue_;
  std::exception_ptr open_failure_;
  std::chrono::steady_clock::duration waited_{};
  bool exhausted_ = false;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace ibot::data
