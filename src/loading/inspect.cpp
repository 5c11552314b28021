#include "ibot/loading/inspect.h"

#include <algorithm>
#include <mutex>
#include <tuple>
#include <utility>

#include "codec/codecs.h"
#include "data/parallel.h"
#include "data/reason.h"
#include "ibot/base/error.h"
#include "ibot/codec/decode.h"

namespace ibot::data {
namespace {

Spread spread(std::vector<int64_t> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  // Smallest, lower median, largest.
  return {values.front(), values[(values.size() - 1) / 2], values.back()};
}

void sort_by_sample(std::vector<DamagedFile>& files) {
  std::stable_sort(files.begin(), files.end(), [](const auto& a, const auto& b) {
    return std::tie(a.sample, a.path) < std::tie(b.sample, b.path);
  });
}

/// Empty if the image does not decode: finding those is the task of verify().
std::string notice_of(Bytes bytes, ImageFormat format, const std::string& path,
                      const DecodeOptions& options) {
  // Only such images have a notice; the others need not be decoded for it.
  if (!may_be_wide_gray(bytes, format)) return {};
  try {
    return decode_checked(bytes, path, options).notice;
  } catch (const DataError&) {
    return {};
  }
}

}  // namespace

DatasetSummary summarize(const Dataset& dataset, int64_t workers, const DecodeOptions& options) {
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
      // Headers are parsed unlocked: the mutex guards only the summary.
      lock.unlock();
      const std::string path = dataset.path(sample);
      const ImageHeader header = read_header(bytes, path, options.max_pixels);
      const auto notice = notice_of(bytes, header.format, path, options);
      lock.lock();
      if (!notice.empty()) summary.notices.push_back({sample, path, notice});
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
  sort_by_sample(summary.notices);
  return summary;
}

Findings verify(const Dataset& dataset, int64_t workers, const DecodeOptions& options) {
  auto damaged = dataset.damaged_containers(workers);
  std::vector<DamagedFile> warnings;
  std::vector<DamagedFile> notices;
  std::mutex mutex;
  for_each(dataset.size(), workers, [&](int64_t sample) {
    try {
      const std::string path = dataset.path(sample);
      const auto checked = decode_checked(dataset.read(sample), path, options);
      const std::lock_guard lock(mutex);
      if (!checked.warning.empty()) {
        warnings.push_back({sample, path, "decodes with warnings: " + checked.warning});
      }
      if (!checked.notice.empty()) notices.push_back({sample, path, checked.notice});
    } catch (const DataError& error) {
      const std::string path = dataset.path(sample);
      const std::lock_guard lock(mutex);
      damaged.push_back({sample, path, reason_of(error, path)});
    }
  });
  sort_by_sample(damaged);
  sort_by_sample(warnings);
  sort_by_sample(notices);
  // A sample may be reported twice: for its damaged header and because it does not decode.
  const auto same = [](const auto& a, const auto& b) {
    return a.sample >= 0 && a.sample == b.sample;
  };
  damaged.erase(std::unique(damaged.begin(), damaged.end(), same), damaged.end());
  return {std::move(damaged), std::move(warnings), std::move(notices)};
}

}  // namespace ibot::data
