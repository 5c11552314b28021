// Signs of life of every rank, exchanged through the store.
#pragma once

#include <atomic>
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

/// Key under which a rank leaves its signs of life: a growing number, after it the number of
/// operations it has begun while it keeps step with the others, or what is below.
std::string beat_key(int64_t rank);
/// What a rank leaves that ends well, one that ends because it lost another, and what stands before
/// the reason of any other that fails.
inline constexpr const char* kLeft = "left";
inline constexpr const char* kFollowed = "followed";
inline constexpr const char* kFailed = "failed: ";

/// How long a rank may be silent, and how long one that keeps step may keep others waiting.
///
///   leaving   whether this process has been told to end, so that little time is left to name the
///             rank at fault; never, where empty
struct Patience {
  std::chrono::milliseconds silence;
  std::chrono::milliseconds stall;
  std::function<bool()> leaving;
};

/// Writes this rank's signs of life and reads the others' on a thread of its own, so that a rank
/// busy with anything at all still counts as alive, and a stopped or dead one does not.
class Watch {
 public:
  /// `store` is used by nobody else; every rank's first sign is in it already. `on_trouble` is
  /// called at most once, on the watch's thread.
  Watch(c10::intrusive_ptr<c10d::Store> store, int64_t rank, std::vector<std::string> hosts,
        Patience patience, std::function<void()> on_trouble);
  /// Leaves kLeft, unless a failure was reported.
  ~Watch();

  /// What is known to be wrong with another rank; empty: nothing.
  std::string trouble();
  /// What made an operation fail with `symptom`: waits until the rank at fault is known, at most
  /// seven seconds.
  std::string cause(const std::string& symptom);
  /// This rank is about to end because of what trouble() or cause() gave, or of a failure of its
  /// own.
  void follow();
  void report_failure(const std::string& message);
  /// This rank begins an operation of all ranks.
  void count_operation() { ++operations_; }
  /// Whether this rank now does nothing but what all do, each in about the same time.
  void keep_step(bool value) { in_step_ = value; }

 private:
  using Clock = std::chrono::steady_clock;

  /// The last that is known of a rank.
  struct Sign {
    std::string text;
    std::string operations;  // empty: it does not keep step
    bool ended = false;      // and said so
    Clock::time_point changed;
    Clock::time_point moved;  // when its operations changed
  };

  void beat();
  bool exchange();
  void judge(const std::vector<std::vector<uint8_t>>& signs);
  void judge(size_t rank, const std::string& sign);
  void judge_silence();
  void judge_store();
  bool hurries() const;
  std::chrono::milliseconds longest_silence() const;
  std::string name_of(size_t rank) const;

  c10::intrusive_ptr<c10d::Store> store_;
  const size_t rank_;
  const std::vector<std::string> hosts_;
  const Patience patience_;
  std::function<void()> on_trouble_;

  std::atomic<uint64_t> operations_{0};
  std::atomic<bool> in_step_{false};

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  bool urgent_ = false;  // someone waits for a verdict
  uint64_t beats_ = 0;
  std::string own_end_ = kLeft;
  std::string trouble_;
  std::string left_;  // ranks that ended well, which is wrong only if an operation needs them
  std::vector<Sign> signs_;
  Clock::time_point answered_;
  std::thread thread_;
};

}  // namespace ibot::dist
