#include "common/progress.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <vector>

#include "ibot/base/error.h"

namespace ibot::apps {
namespace {

std::atomic<bool> is_quiet{false};

constexpr double kLiveEvery_s = 0.2;
constexpr double kPlainEvery_s = 5.0;
constexpr double kPlainMost_s = 600.0;
constexpr double kMemory_s = 15.0;

std::string format_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, value < 10 ? "%.2f" : value < 100 ? "%.1f" : "%.0f", value);
  return text;
}

std::string bar(double share, int columns) {
  const int filled = static_cast<int>(share * columns);
  std::string text = "[";
  text.append(filled, '=').append(columns - filled, ' ');
  return text + "] ";
}

double seconds_between(std::chrono::steady_clock::time_point from,
                       std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// "1 step", "3 steps".
std::string counted(int64_t count, const std::string& units) {
  return concat(count, " ", count == 1 ? units.substr(0, units.size() - 1) : units);
}

/// The parts that are not empty, separated by commas.
std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const auto& part : parts) {
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

}  // namespace

void RateEstimate::add(double counts, double seconds) {
  if (seconds <= 0) return;
  // A plain mean at first: otherwise the first interval would dominate for a minute.
  observed_s_ += seconds;
  const double weight = std::min(1.0, seconds / std::min(observed_s_, kMemory_s));
  per_second_ += weight * (counts / seconds - per_second_);
}

std::string format_duration(double seconds) {
  const auto total = static_cast<int64_t>(std::llround(std::max(seconds, 0.0)));
  const auto pair = [](int64_t large, const char* unit, int64_t small, const char* small_unit) {
    return small > 0 ? concat(large, " ", unit, " ", small, " ", small_unit)
                     : concat(large, " ", unit);
  };
  if (total < 60) return concat(total, " s");
  if (total < 3600) return pair(total / 60, "min", total % 60, "s");
  if (total < 86400) return pair(total / 3600, "h", total % 3600 / 60, "min");
  return pair(total / 86400, "d", total % 86400 / 3600, "h");
}

std::string progress_line(const ProgressOptions& options, int64_t done, double rate,
                          const std::string& note, int width, const std::string& extra) {
  const bool limited = options.total > 0;
  std::string counts = concat(done, limited ? concat('/', options.total) : "", ' ', options.unit);
  std::string speed, left;
  if (rate > 0) {
    speed = concat(format_number(rate * options.items_per_count), ' ', options.item, "/s");
    if (limited) {
      left = format_duration(static_cast<double>(options.total - done) / rate) + " left";
    }
  }
  const std::string label = options.label + " ";
  const auto fits = [&](const std::string& text) {
    return width <= 0 || static_cast<int>(label.size() + text.size()) < width;
  };
  std::string text = joined({counts, speed, left, note, extra});
  if (!fits(text)) text = joined({counts, speed, left, note});
  if (!fits(text) && !note.empty()) text = joined({speed, left, note});
  if (!fits(text) && !note.empty()) text = joined({note, left});
  const int free_columns = width - static_cast<int>(label.size() + text.size()) - 4;
  if (!limited || free_columns < 10) return label + text;
  const double share = static_cast<double>(done) / static_cast<double>(options.total);
  return label + bar(std::clamp(share, 0.0, 1.0), std::min(free_columns, 30)) + text;
}

std::string format_clock(double seconds) {
  const auto whole = static_cast<int64_t>(seconds);
  char text[32];
  std::snprintf(text, sizeof text, "%lld:%02d:%02d", static_cast<long long>(whole / 3600),
                static_cast<int>(whole / 60 % 60), static_cast<int>(whole % 60));
  return text;
}

void quiet_progress() { is_quiet = true; }

Progress::Progress(ProgressOptions options, Console& output)
    : options_(std::move(options)),
      console_(output),
      started_(Clock::now()),
      drawn_(started_),
      plain_every_s_(kPlainEvery_s),
      done_(options_.first),
      drawn_done_(options_.first) {
  if (console_.is_live() && !is_quiet)
    ticker_ = std::jthread([this](const std::stop_token& stop) { tick(stop); });
}

Progress::~Progress() {
  ticker_ = {};
  console_.clear();
}

/// Keeps the clock going between counts.
void Progress::tick(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    show_line();
    wake_.wait_for(lock, stop, std::chrono::seconds(1), [] { return false; });
  }
}

void Progress::show_line() {
  auto options = options_;
  options.label += " " + format_clock(seconds_between(started_, Clock::now()));
  console_.show(progress_line(options, done_, rate_.per_second(), note_, console_.width(), extra_));
}

void Progress::update(int64_t done, const std::string& note, const std::string& extra) {
  const std::lock_guard lock(mutex_);
  done_ = done;
  note_ = note;
  extra_ = extra;
  const auto now = Clock::now();
  const double elapsed = seconds_between(drawn_, now);
  if (elapsed < (console_.is_live() ? kLiveEvery_s : plain_every_s_)) return;
  rate_.add(static_cast<double>(done_ - drawn_done_), elapsed);
  drawn_ = now;
  drawn_done_ = done_;
  if (is_quiet) return;
  if (console_.is_live()) return show_line();
  console_.print_line(progress_line(options_, done, rate_.per_second(), note, 0, extra));
  plain_every_s_ = std::min(2.0 * plain_every_s_, kPlainMost_s);
}

void Progress::finish() {
  ticker_ = {};
  console_.clear();
  if (is_quiet || done_ == options_.first) return;
  const double seconds = seconds_between(started_, Clock::now());
  const auto counts = static_cast<double>(done_ - options_.first);
  const double items = seconds > 0 ? counts / seconds * options_.items_per_count : 0;
  console_.print_line(concat(options_.label, " ", counted(done_, options_.unit), " in ",
                             format_duration(seconds), ", ", format_number(items), " ",
                             options_.item, "/s"));
}

}  // namespace ibot::apps
