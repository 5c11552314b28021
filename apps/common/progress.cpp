#include "common/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>

#include "ibot/base/error.h"

namespace ibot::apps {
namespace {

constexpr double kLiveEvery_s = 0.2;
constexpr double kPlainEvery_s = 5.0;
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
                          const std::string& note, int width) {
  std::ostringstream words;
  words << done;
  if (options.total > 0) words << '/' << options.total;
  words << ' ' << options.unit;
  if (rate > 0) {
    words << ", " << format_number(rate * options.items_per_count) << ' ' << options.item << "/s";
    if (options.total > 0) {
      words << ", " << format_duration(static_cast<double>(options.total - done) / rate) << " left";
    }
  }
  if (!note.empty()) words << ", " << note;
  const std::string text = words.str();
  const std::string label = options.label + " ";
  const int free_columns = width - static_cast<int>(label.size() + text.size()) - 4;
  if (options.total <= 0 || free_columns < 10) return label + text;
  const double share = static_cast<double>(done) / static_cast<double>(options.total);
  return label + bar(std::clamp(share, 0.0, 1.0), std::min(free_columns, 30)) + text;
}

Progress::Progress(ProgressOptions options, Console& output)
    : options_(std::move(options)),
      console_(output),
      started_(Clock::now()),
      drawn_(started_),
      done_(options_.first),
      drawn_done_(options_.first) {}

Progress::~Progress() { console_.clear(); }

void Progress::update(int64_t done, const std::string& note) {
  done_ = done;
  const auto now = Clock::now();
  const double elapsed = seconds_between(drawn_, now);
  if (elapsed < (console_.is_live() ? kLiveEvery_s : kPlainEvery_s)) return;
  rate_.add(static_cast<double>(done_ - drawn_done_), elapsed);
  drawn_ = now;
  drawn_done_ = done_;
  if (console_.is_live()) {
    console_.show(progress_line(options_, done, rate_.per_second(), note, console_.width()));
  } else {
    console_.print_line(progress_line(options_, done, rate_.per_second(), note, 0));
  }
}

void Progress::finish() {
  console_.clear();
  const double seconds = seconds_between(started_, Clock::now());
  const auto counts = static_cast<double>(done_ - options_.first);
  const double items = seconds > 0 ? counts / seconds * options_.items_per_count : 0;
  console_.print_line(concat(options_.label, " ", done_, " ", options_.unit, " in ",
                             format_duration(seconds), ", ", format_number(items), " ",
                             options_.item, "/s"));
}

}  // namespace ibot::apps
