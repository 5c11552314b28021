#include "ibot/data/inspect.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "data/reason.h"
#include "ibot/base/error.h"
#include "ibot/data/decode.h"

namespace ibot::data {
namespace {

/// Calls `visit` for every sample, on several threads; what it throws ends the visit and is
/// rethrown.
void for_each_sample(int64_t count, int64_t workers, const std::function<void(int64_t)>& visit) {
  std::atomic<int64_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      for (int64_t sample = next++; sample < count; sample = next++) visit(sample);
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

Spread spread(std::vector<int64_t> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {values.front(), values[(values.size() - 1) / 2], values.back()};
}

void sort_by_sample(std::vector<DamagedFile>& files) {
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.sample < b.sample; });
}

}  // namespace

DatasetSummary summarize(const Dataset& dataset, int64_t workers) {
  DatasetSummary summary;
  summary.images = dataset.size();
  summary.images_per_class.resize(dataset.class_names().size());
  for (int64_t sample = 0; sample < dataset.size(); ++sample) {
    ++summary.images_per_class[dataset.label(sample)];
  }
  std::vector<int64_t> widths;
  std::vector<int64_t> heights;
  std::mutex mutex;
  for_each_sample(dataset.size(), workers, [&](int64_t sample) {
    try {
      const auto bytes = dataset.read(sample);
      std::unique_lock lock(mutex);
      summary.bytes += static_cast<int64_t>(bytes.size());
      lock.unlock();
      const ImageHeader header = read_header(bytes, dataset.path(sample));
      lock.lock();
      ++summary.formats[format_name(header.format)];
      widths.push_back(header.width);
      heights.push_back(header.height);
    } catch (const DataError& error) {
      const std::string path = dataset.path(sample);
      const std::lock_guard lock(mutex);
      summary.damaged.push_back({sample, path, reason_of(error, path)});
    }
  });
  summary.width = spread(std::move(widths));
  summary.height = spread(std::move(heights));
  sort_by_sample(summary.damaged);
  return summary;
}

std::vector<DamagedFile> verify(const Dataset& dataset, int64_t workers) {
  std::vector<DamagedFile> damaged;
  std::mutex mutex;
  for_each_sample(dataset.size(), workers, [&](int64_t sample) {
    try {
      decode(dataset.read(sample), dataset.path(sample));
    } catch (const DataError& error) {
      const std::string path = dataset.path(sample);
      const std::lock_guard lock(mutex);
      damaged.push_back({sample, path, reason_of(error, path)});
    }
  });
  sort_by_sample(damaged);
  return damaged;
}

}  // namespace ibot::data
