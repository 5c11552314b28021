// A folder of images: one subfolder per class, or none.
#pragma once

#include <filesystem>

#include "ibot/data/dataset.h"
#include "ibot/data/listing.h"

namespace ibot::data {

/// All images below `root`. Classes are the subfolders of the root, sorted by code point. A class
/// holds the files at any depth whose names end in .jpg .jpeg .png .ppm .bmp .pgm .tif .tiff .webp
/// .gif, in either case: its folders sorted by full path, the files of each sorted by name. Links
/// are followed. A class without images keeps its index.
///
/// Names that begin with a dot and those that operating systems create (`__MACOSX`, `@eaDir`,
/// Thumbs.db, lost+found, ...) are skipped, as classes, folders and files; notes() counts them,
/// files with other extensions, and images next to the class folders. If no subfolder holds an
/// image, the images of the root itself are read, without classes (see has_classes). With
/// Subfolders::kNothing every image is read, without classes.
///
/// A listing of at least `keep_listing_from` images is cached in a file and reused as long as no
/// folder changes; see current_listing.
///
/// Throws DataError if the root or a folder in it is missing or unreadable, if it holds no image,
/// or if links form a cycle.
///
/// Source: torchvision `ImageFolder`, whose order decides sample ids.
class ImageFolder : public Dataset {
 public:
  static constexpr int64_t kKeepListingFrom = 100'000;

  explicit ImageFolder(const std::filesystem::path& root,
                       int64_t keep_listing_from = kKeepListingFrom,
                       Subfolders subfolders = Subfolders::kClasses);
  /// The images of a listing of `root`.
  ImageFolder(const std::filesystem::path& root, Listing listing)
      : root_(root), listing_(std::move(listing)) {}

  int64_t size() const override { return listing_.size(); }
  int64_t label(int64_t sample) const override { return listing_.label(sample); }
  std::string path(int64_t sample) const override;
  std::vector<uint8_t> read(int64_t sample) const override;
  const std::vector<std::string>& class_names() const override { return listing_.class_names(); }
  std::vector<std::string> notes() const override { return listing_.notes(); }
  /// Hashes each file's path below the root, and its bytes if all files together take at most 64
  /// MiB, otherwise its size and modification time in nanoseconds.
  std::string content_hash() const override;

  /// Paths relative to the root.
  const Listing& listing() const { return listing_; }

 private:
  std::filesystem::path root_;
  Listing listing_;
};

}  // namespace ibot::data
