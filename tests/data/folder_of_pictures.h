// A small image folder on disk.
#pragma once

#include <optional>

#include "data/pictures.h"
#include "ibot/data/image_folder.h"
#include "support/temporary_folder.h"

namespace ibot::testing {

/// `count` JPEGs in classes a, b, c in turn; `bad` of them are no images.
class FolderOfPictures {
 public:
  explicit FolderOfPictures(int count, const std::vector<int>& bad = {}) {
    for (int i = 0; i < count; ++i) write_bytes(file(i), jpeg(i, 40 + i % 5, 48 - i % 7));
    for (const int i : bad) write_bytes(file(i), {'n', 'o'});
    dataset_.emplace(root_.path());
  }

  const data::ImageFolder& dataset() const { return *dataset_; }
  /// Names rise with the index, so that sample ids are indices within the class folders.
  std::filesystem::path file(int i) const {
    return root_.path() / std::string(1, static_cast<char>('a' + i % 3)) /
           (std::to_string(1000 + i) + ".jpg");
  }

 private:
  TemporaryFolder root_;
  std::optional<data::ImageFolder> dataset_;
};

}  // namespace ibot::testing
