#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "common/data_notes.h"
#include "ibot-doctor/checks.h"
#include "ibot/loading/inspect.h"
#include "ibot/loading/open_dataset.h"

namespace ibot::apps {
namespace {

/// Up to `count` images of another data set, evenly spread.
class Spaced : public data::Dataset {
 public:
  Spaced(const data::Dataset& all, int64_t count) : all_(all), size_(std::min(count, all.size())) {}

  int64_t size() const override { return size_; }
  int64_t label(int64_t sample) const override { return all_.label(place(sample)); }
  std::string path(int64_t sample) const override { return all_.path(place(sample)); }
  std::vector<uint8_t> read(int64_t sample) const override { return all_.read(place(sample)); }
  const std::vector<std::string>& class_names() const override { return all_.class_names(); }

 private:
  int64_t place(int64_t sample) const { return sample * all_.size() / size_; }

  const data::Dataset& all_;
  int64_t size_;
};

}  // namespace

std::vector<Finding> check_images(const std::string& where) {
  constexpr int64_t kSamples = 256;
  const auto all = data::open_images(where, data::Labels::kIgnored);
  log_notes(where, *all);
  const Spaced samples(*all, kSamples);
  const int64_t workers = std::max(1U, std::thread::hardware_concurrency());
  const auto start = std::chrono::steady_clock::now();
  const auto damaged = data::verify(samples, workers).damaged;
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  const double rate = static_cast<double>(samples.size()) / time.count();
  const bool good = damaged.empty();
  const bool all_bad = static_cast<int64_t>(damaged.size()) == samples.size();
  return {{"images",
           good      ? Verdict::kOk
           : all_bad ? Verdict::kFailed
                     : Verdict::kWarning,
           concat(where, ": ", all->size(), " images; of ", samples.size(), " tried, ",
                  damaged.size(), " damaged", good ? "" : " (" + damaged.front().path + ")", "; ",
                  std::llround(rate), " images/s decoded"),
           good ? "" : "ibot-data verify " + where + " lists them; training replaces them",
           {{"images", all->size()},
            {"tried", samples.size()},
            {"damaged", damaged.size()},
            {"images_per_s", rate}}}};
}

}  // namespace ibot::apps
