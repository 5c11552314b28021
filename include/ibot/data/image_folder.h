// A folder of images: one sub-folder a class, or none.
#pragma once

#include <filesystem>

#include "ibot/data/dataset.h"
#include "ibot/data/listing.h"

namespace ibot::data {

/// All images below `root`. Classes are the sub-folders of the root, sorted by code point. A class
/// holds the files of any depth whose names end in .jpg .jpeg .png .ppm .bmp .pgm .tif .tiff .webp
/// .gif, in either case: its folders sorted by their full path, the files of each sorted by name.
/// Links are followed. A class without images keeps its index.
///
/// Names that begin with a dot and what systems leave (__MACOSX, @eaDir, Thumbs.db, lost+found,
/// ...) are passed over, as classes, folders and files; notes() counts them, files left out for
/// their ending, and images beside the class folders. Where no sub-folder holds an image, those of
/// the root itself are read, without classes (see has_classes).
///
/// A listing of `keep_listing_from` images or more is kept in a file and used again for as long as
/// no folder changes; see current_listing.
///
/// Throws DataError when the root or a folder in it is missing or unreadable, when it holds no
/// image, and when links form a cycle.
///
/// Source: torchvision `ImageFolder`, whose order decides sample ids.
class ImageFolder : public Dataset {
 public:
  explicit ImageFolder(const std::filesystem::path& root, int64_t keep_listing_from = 100'000);

  int64_t size() const override { return listing_.size(); }
  int64_t label(int64_t sample) const override { return listing_.label(sample); }
  std::string path(int64_t sample) const override;
  std::vector<uint8_t> read(int64_t sample) const override;
  const std::vector<std::string>& class_names() const override { return listing_.class_names(); }
  std::vector<std::string> notes() const override { return listing_.notes(); }
  /// Of each file its path below the root, and its bytes where all together take at most 64 MiB,
  /// else its size and the nanosecond of its last change.
  std::string content_hash() const override;

  /// Paths relative to the root.
  const Listing& listing() const { return listing_; }

 private:
  std::filesystem::path root_;
  Listing listing_;
};

}  // namespace ibot::data
