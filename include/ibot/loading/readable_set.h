// A data set without the images that do not decode.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ibot/data/dataset.h"
#include "ibot/loading/data_options.h"

namespace ibot::data {

/// Some samples of a data set, which it owns, under new consecutive numbers.
class ReadableSet : public Dataset {
 public:
  /// `left_out` are the others, ascending.
  ReadableSet(std::unique_ptr<Dataset> images, std::vector<DamagedFile> left_out);

  int64_t size() const override { return static_cast<int64_t>(kept_.size()); }
  int64_t label(int64_t sample) const override { return images_->label(kept_[sample]); }
  std::string path(int64_t sample) const override { return images_->path(kept_[sample]); }
  std::vector<uint8_t> read(int64_t sample) const override { return images_->read(kept_[sample]); }
  const std::vector<std::string>& class_names() const override { return images_->class_names(); }
  /// Those of the whole set, and how many were left out.
  std::vector<std::string> notes() const override;
  /// Of the whole set and what was left out.
  std::string content_hash() const override;
  bool is_stream() const override { return images_->is_stream(); }

 private:
  std::unique_ptr<Dataset> images_;
  std::vector<DamagedFile> left_out_;
  std::vector<int64_t> kept_;
};

/// `images` without those that do not decode, all of which are decoded to find them; the set itself
/// where `max_bad_share` is 0 or every image decodes. Throws DataError, naming the first, where
/// more than that share of the images do not decode.
std::unique_ptr<Dataset> without_unreadable(std::unique_ptr<Dataset> images, double max_bad_share,
                                            const DataOptions& reading);

}  // namespace ibot::data
