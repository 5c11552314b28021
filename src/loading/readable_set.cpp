#include "ibot/loading/readable_set.h"

#include <algorithm>

#include "ibot/base/error.h"
#include "ibot/base/hash.h"
#include "ibot/loading/inspect.h"

namespace ibot::data {
namespace {

std::string described(const DamagedFile& file) { return concat(file.path, ": ", file.reason); }

}  // namespace

ReadableSet::ReadableSet(std::unique_ptr<Dataset> images, std::vector<DamagedFile> left_out)
    : images_(std::move(images)), left_out_(std::move(left_out)) {
  auto next = left_out_.begin();
  for (int64_t sample = 0; sample < images_->size(); ++sample) {
    const bool is_out = next != left_out_.end() && next->sample == sample;
    if (is_out) {
      ++next;
    } else {
      kept_.push_back(sample);
    }
  }
}

std::vector<std::string> ReadableSet::notes() const {
  auto lines = images_->notes();
  lines.push_back(concat("left out ", left_out_.size(), " of ", images_->size(),
                         " images that do not decode, the first one ",
                         described(left_out_.front())));
  return lines;
}

std::string ReadableSet::content_hash() const {
  Hash hash;
  hash.add(images_->content_hash());
  // The same images with others left out are another set.
  for (const auto& file : left_out_) hash.add(concat("without ", file.sample, '\n'));
  return hash.hex();
}

std::unique_ptr<Dataset> without_unreadable(std::unique_ptr<Dataset> images, double max_bad_share,
                                            const DataOptions& reading) {
  if (max_bad_share == 0) return images;
  auto damaged = verify(*images, reading.workers, reading.decode).damaged;
  // Damage of a container that belongs to no sample.
  std::erase_if(damaged, [](const DamagedFile& file) { return file.sample < 0; });
  if (damaged.empty()) return images;
  const auto allowed = max_bad_share * static_cast<double>(images->size());
  IBOT_CHECK_AS(DataError, static_cast<double>(damaged.size()) <= allowed,
                "dataset.max_bad_share: expected at most ", max_bad_share, " of ", images->size(),
                " images not to decode, found ", damaged.size(), ", the first one ",
                described(damaged.front()));
  return std::make_unique<ReadableSet>(std::move(images), std::move(damaged));
}

}  // namespace ibot::data
