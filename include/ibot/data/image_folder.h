// A folder of images: one sub-folder a class.
#pragma once

#include <filesystem>

#include "ibot/data/dataset.h"

namespace ibot::data {

/// All images below `root`. Classes are the sub-folders of the root, sorted by code point. A class
/// holds the files of any depth whose names end in .jpg .jpeg .png .ppm .bmp .pgm .tif .tiff .webp,
/// in either case: its folders sorted by their full path, the files of each sorted by name. Links
/// are followed. A class without images keeps its index.
///
/// Throws DataError when the root or a folder in it is missing or unreadable, when it holds no
/// folder, or no image, and when links form a cycle.
///
/// Source: torchvision `ImageFolder`, whose order decides sample ids.
class ImageFolder : public Dataset {
 public:
  explicit ImageFolder(const std::filesystem::path& root);

  int64_t size() const override { return static_cast<int64_t>(name_begin_.size()) - 1; }
  int64_t label(int64_t sample) const override;
  std::string path(int64_t sample) const override;
  std::vector<uint8_t> read(int64_t sample) const override;
  const std::vector<std::string>& class_names() const override { return class_names_; }

 private:
  struct Folder {
    std::string path;
    int64_t label;
    int64_t first_sample;
  };
  void add_class(const std::filesystem::path& folder, int64_t label);
  void add_folder(const std::string& folder, int64_t label, std::vector<std::string> names);
  const Folder& folder_of(int64_t sample) const;

  std::vector<std::string> class_names_;
  std::vector<Folder> folders_;
  // All file names in one string: 14 million small ones would double the memory.
  std::string names_;
  std::vector<uint64_t> name_begin_{0};
};

}  // namespace ibot::data
