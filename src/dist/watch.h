// Heartbeats of all ranks, exchanged through the store.
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

/// Key of a rank's heartbeat. Its value: a counter, followed within Group::InStep by a space and
/// the number of collectives begun; when the rank exits, one of the values below.
std::string beat_key(int64_t rank);
/// A rank's last value in the store: finished, ended because a peer was lost, or failed, followed
/// by the reason.
inline constexpr const char* kLeft = "left";
inline constexpr const char* kFollowed = "followed";
inline constexpr const char* kFailed = "failed: ";

/// A value of the store.
inline std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

/// Limits: without a heartbeat, and within Group::InStep while others wait.
///
///   leaving   whether this process has been asked to exit, so that little time is left to name the
///             rank at fault; may be empty
struct Patience {
  std::chrono::milliseconds silence;
  std::chrono::milliseconds stall;
  std::function<bool()> leaving;
};

/// Writes this rank's heartbeat and reads the others' on its own thread: a rank counts as alive
/// however busy it is, a stopped or dead one does not. Public functions may be called by any
/// thread.
class Watch {
 public:
  /// `store` is a connection used by nobody else; it already holds every rank's first heartbeat.
  /// `on_trouble` is called at most once, on the watch's thread.
  Watch(c10::intrusive_ptr<c10d::Store> store, int64_t rank, std::vector<std::string> hosts,
        Patience patience, std::function<void()> on_trouble);
  /// Writes kLeft, or what follow() or report_failure() set.
  ~Watch();

  /// What is wrong with another rank; empty if nothing is known.
  std::string trouble();
  /// Why an operation failed with `symptom`: waits until the rank at fault is known, at most seven
  /// seconds, and returns `symptom` if none is.
  std::string cause(const std::string& symptom);
  /// This rank is about to exit: because a peer was lost, or because of its own failure.
  void follow();
  void report_failure(const std::string& message);
  /// This rank begins a collective.
  void count_operation() { ++operations_; }
  /// Whether this rank is within Group::InStep.
  void keep_step(bool value) { in_step_ = value; }

 private:
  using Clock = std::chrono::steady_clock;

  /// Last known state of a rank.
  struct Sign {
    std::string text;
    std::string operations;  // empty: not within InStep
    bool ended = false;      // exited and said so
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
  bool urgent_ = false;  // a caller waits in cause()
  uint64_t beats_ = 0;
  std::string own_end_ = kLeft;
  std::string trouble_;
  std::string left_;  // ranks that finished: an error only if an operation needs them
  std::vector<Sign> signs_;
  Clock::time_point answered_;
  std::thread thread_;
};

}  // namespace ibot::dist
