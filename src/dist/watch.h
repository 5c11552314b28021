// Signs of life of every rank, exchanged through the store.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

namespace ibot::dist {

/// Key under which a rank leaves its signs of life: a growing number, or the two below.
std::string beat_key(int64_t rank);
/// What a rank leaves that ends well, one that ends because it lost another, and what stands before
/// the reason of any other that fails.
inline constexpr const char* kLeft = "left";
inline constexpr const char* kFollowed = "followed";
inline constexpr const char* kFailed = "failed: ";

/// Writes this rank's signs of life and reads the others' on a thread of its own, so that a rank
/// busy with anything at all still counts as alive, and a stopped or dead one does not.
class Watch {
 public:
  /// `store` is used by nobody else; every rank's first sign is in it already. `on_trouble` is
  /// called at most once, on the watch's thread.
  Watch(c10::intrusive_ptr<c10d::Store> store, int64_t rank, std::vector<std::string> hosts,
        std::chrono::milliseconds timeout, std::function<void()> on_trouble);
  /// Leaves kLeft, unless a failure was reported.
  ~Watch();

  /// What is known to be wrong with another rank; empty: nothing.
  std::string trouble();
  /// What made an operation fail with `symptom`: waits until the rank at fault is known, at most
  /// about the timeout.
  std::string cause(const std::string& symptom);
  /// This rank is about to end because of what trouble() or cause() gave, or of a failure of its
  /// own.
  void follow();
  void report_failure(const std::string& message);

 private:
  using Clock = std::chrono::steady_clock;

  void beat();
  bool exchange();
  void judge(const std::vector<std::vector<uint8_t>>& signs);
  std::string name_of(size_t rank) const;

  c10::intrusive_ptr<c10d::Store> store_;
  const size_t rank_;
  const std::vector<std::string> hosts_;
  const std::chrono::milliseconds timeout_;
  std::function<void()> on_trouble_;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  bool urgent_ = false;  // someone waits for a verdict
  uint64_t beats_ = 0;
  std::string own_end_ = kLeft;
  std::string trouble_;
  std::string left_;  // ranks that ended well, which is wrong only if an operation needs them
  std::vector<std::vector<uint8_t>> signs_;
  std::vector<Clock::time_point> changed_;
  Clock::time_point answered_;
  std::thread thread_;
};

}  // namespace ibot::dist
