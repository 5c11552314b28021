#include "ibot/data/inspect.h"

#include <algorithm>
#include <mutex>
#include <tuple>
#include <utility>

#include "data/parallel.h"
#include "data/reason.h"
#include "ibot/base/error.h"
#include "ibot/data/decode.h"

namespace ibot::data {
namespace {

Spread spread(std::vector<int64_t> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {values.front(), values[(values.size() - 1) / 2], values.back()};
}

void sort_by_sample(std::vector<DamagedFile>& files) {
  std::stable_sort(files.begin(), files.end(), [](const auto& a, const auto& b) {
    return std::tie(a.sample, a.path) < std::tie(b.sample, b.path);
  });
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
  for_each(dataset.size(), workers, [&](int64_t sample) {
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

Findings verify(const Dataset& dataset, int64_t workers) {
  auto damaged = dataset.damaged_containers(workers);
  std::vector<DamagedFile> warnings;
  std::mutex mutex;
  for_each(dataset.size(), workers, [&](int64_t sample) {
    try {
      const std::string path = dataset.path(sample);
      const auto warning = decode_checked(dataset.read(sample), path).warning;
      if (warning.empty()) return;
      const std::lock_guard lock(mutex);
      warnings.push_back({sample, path, "decodes with warnings: " + warning});
    } catch (const DataError& error) {
      const std::string path = dataset.path(sample);
      const std::lock_guard lock(mutex);
      damaged.push_back({sample, path, reason_of(error, path)});
    }
  });
  sort_by_sample(damaged);
  sort_by_sample(warnings);
  // A sample whose header is damaged may well be unreadable too.
  const auto same = [](const auto& a, const auto& b) {
    return a.sample >= 0 && a.sample == b.sample;
  };
  damaged.erase(std::unique(damaged.begin(), damaged.end(), same), damaged.end());
  return {std::move(damaged), std::move(warnings)};
}

}  // namespace ibot::data
