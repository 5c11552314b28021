#include "dist/watch.h"

#include <algorithm>
#include <utility>

#include "ibot/base/error.h"

namespace ibot::dist {
namespace {

using std::chrono::milliseconds;

// Interval between heartbeats: usual, with a failed operation to explain, and while exiting.
constexpr milliseconds kLongestPause{2000};
constexpr milliseconds kUrgentPause{50};
constexpr milliseconds kLeavingPause{500};
// Launchers kill ranks half a minute after SIGTERM, some after ten seconds. A live rank sends a
// heartbeat every kLongestPause.
constexpr milliseconds kHurriedSilence{5000};

double seconds(milliseconds time) { return static_cast<double>(time.count()) / 1000.0; }

}  // namespace

std::string beat_key(int64_t rank) { return "beat/" + std::to_string(rank); }

Watch::Watch(c10::intrusive_ptr<c10d::Store> store, int64_t rank, std::vector<std::string> hosts,
             Patience patience, std::function<void()> on_trouble)
    : store_(std::move(store)),
      rank_(static_cast<size_t>(rank)),
      hosts_(std::move(hosts)),
      patience_(patience),
      on_trouble_(std::move(on_trouble)),
      signs_(hosts_.size(), {.changed = Clock::now(), .moved = Clock::now()}),
      answered_(Clock::now()) {
  // A lost store must not block the thread for longer than it takes to notice a lost rank.
  store_->setTimeout(patience_.silence);
  thread_ = std::thread([this] { beat(); });
}

Watch::~Watch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Watch::beat() {
  const auto pause = std::min({patience_.silence / 10, patience_.stall / 10, kLongestPause});
  bool answers = true;
  std::unique_lock lock(mutex_);
  while (!stopping_ && answers) {
    lock.unlock();
    answers = exchange();
    lock.lock();
    if (!trouble_.empty() && on_trouble_) {
      // Unlocked: aborting a backend may take long, and trouble() must answer meanwhile.
      const auto tell = std::exchange(on_trouble_, nullptr);
      lock.unlock();
      tell();
      lock.lock();
    }
    wake_.notify_all();
    const auto hurried = std::min(pause, urgent_ ? kUrgentPause : kLeavingPause);
    wake_.wait_for(lock, hurries() ? hurried : pause, [this] { return stopping_; });
  }
  if (!answers) return;
  const auto end = own_end_;
  lock.unlock();
  try {
    store_->set(beat_key(static_cast<int64_t>(rank_)), bytes_of(end));
  } catch (const std::exception&) {
    // The process that served the store has exited: nobody is left to tell.
  }
}

/// Writes one heartbeat and reads those of the others; returns whether the store answered.
bool Watch::exchange() {
  try {
    std::string own;
    {
      const std::lock_guard lock(mutex_);
      if (own_end_.rfind(kFailed, 0) == 0) {
        // A failure replaces the heartbeat at once, so peers need not wait for this process to
        // exit.
        own = own_end_;
      } else {
        own = std::to_string(++beats_);
        if (in_step_) own += ' ' + std::to_string(operations_);
      }
    }
    store_->set(beat_key(static_cast<int64_t>(rank_)), bytes_of(own));
    std::vector<std::string> keys;
    for (size_t i = 0; i < hosts_.size(); ++i) keys.push_back(beat_key(static_cast<int64_t>(i)));
    const auto signs = store_->multiGet(keys);
    const std::lock_guard lock(mutex_);
    answered_ = Clock::now();
    judge(signs);
    return true;
  } catch (const std::exception&) {
    const std::lock_guard lock(mutex_);
    if (trouble_.empty()) {
      trouble_ = "the store through which ranks meet does not answer; the process that holds it, " +
                 name_of(0) + " or the launcher, has died or is stopped";
    }
    return false;
  }
}

// Ages are measured by this process's steady clock from when a value changed here: clocks of other
// nodes and clock jumps do not matter.
void Watch::judge(const std::vector<std::vector<uint8_t>>& signs) {
  left_.clear();
  for (size_t i = 0; i < signs.size(); ++i) {
    if (i != rank_) judge(i, {signs[i].begin(), signs[i].end()});
  }
  judge_silence();
}

void Watch::judge(size_t rank, const std::string& sign) {
  auto& known = signs_[rank];
  if (sign != known.text) known.changed = answered_;
  known.text = sign;
  known.ended = sign == kFollowed || sign == kLeft;
  if (sign == kLeft) left_ += (left_.empty() ? "" : ", ") + name_of(rank);
  if (known.ended || !trouble_.empty()) return;
  if (sign.rfind(kFailed, 0) == 0) {
    trouble_ = name_of(rank) + " " + sign;
    return;
  }
  const auto space = sign.find(' ');
  const auto operations = space == std::string::npos ? "" : sign.substr(space + 1);
  // Only a rank that has begun fewer operations than this one can keep it waiting.
  if (operations.empty() || operations != known.operations ||
      std::stoull(operations) >= operations_) {
    known.moved = answered_;
  }
  known.operations = operations;
  if (answered_ - known.moved > patience_.stall) {
    trouble_ = concat(name_of(rank), " is alive and has kept the others waiting for ",
                      seconds(patience_.stall), " s: it hangs, or reads its images too slowly");
  }
}

/// Of several silent ranks, the one silent for longest is at fault: the others waited for it.
void Watch::judge_silence() {
  if (!trouble_.empty()) return;
  const auto limit = longest_silence();
  auto last = answered_ - limit;
  for (size_t i = 0; i < signs_.size(); ++i) {
    if (i == rank_ || signs_[i].ended || signs_[i].changed >= last) continue;
    last = signs_[i].changed;
    trouble_ = concat(name_of(i), " has sent no heartbeat for ", seconds(limit),
                      " s: it has died or is stopped");
  }
}

// Called by the waiting thread: the watch's own may hang in a request to a stopped store.
void Watch::judge_store() {
  const auto limit = hurries() ? longest_silence() : 3 * patience_.silence;
  if (trouble_.empty() && Clock::now() - answered_ > limit) {
    trouble_ = "the store on " + name_of(0) + " does not answer";
  }
}

/// After a failed operation the group is useless, and an exiting process has little time: neither
/// waits for as long as a rank may be silent in a healthy run.
bool Watch::hurries() const { return urgent_ || (patience_.leaving && patience_.leaving()); }

milliseconds Watch::longest_silence() const {
  return hurries() ? std::min(patience_.silence, kHurriedSilence) : patience_.silence;
}

std::string Watch::name_of(size_t rank) const {
  return concat("rank ", rank, " on ", hosts_[rank]);
}

std::string Watch::trouble() {
  const std::lock_guard lock(mutex_);
  judge_store();
  return trouble_;
}

std::string Watch::cause(const std::string& symptom) {
  std::unique_lock lock(mutex_);
  urgent_ = true;
  wake_.notify_all();
  // By then every lost rank has been silent for longer than the limit.
  wake_.wait_for(lock, longest_silence() + kLongestPause,
                 [this] { return !trouble_.empty() || !left_.empty(); });
  if (left_.empty()) judge_store();
  if (!trouble_.empty()) return trouble_;
  return left_.empty() ? symptom : left_ + " has left: " + symptom;
}

void Watch::follow() {
  const std::lock_guard lock(mutex_);
  if (own_end_ == kLeft) own_end_ = kFollowed;
}

void Watch::report_failure(const std::string& message) {
  const std::lock_guard lock(mutex_);
  own_end_ = kFailed + message.substr(0, message.find('\n'));
}

}  // namespace ibot::dist
