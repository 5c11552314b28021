// Images given as a list of files with labels.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ibot/data/dataset.h"

namespace ibot::data {

class FileList : public Dataset {
 public:
  struct Entry {
    std::string path;
    int64_t label = 0;
  };

  /// `source` names the list in messages. Throws DataError if it is empty, if a label is out of
  /// range, or if files are missing, naming the first and their number.
  FileList(const std::string& source, std::vector<Entry> entries,
           std::vector<std::string> class_names, std::vector<std::string> notes = {});

  int64_t size() const override { return static_cast<int64_t>(entries_.size()); }
  int64_t label(int64_t sample) const override { return entries_[sample].label; }
  std::string path(int64_t sample) const override { return entries_[sample].path; }
  std::vector<uint8_t> read(int64_t sample) const override;
  const std::vector<std::string>& class_names() const override { return class_names_; }
  std::vector<std::string> notes() const override { return notes_; }
  /// Hashes each file's path below the common folder, and its bytes if all files together take at
  /// most 64 MiB, otherwise its size and modification time in nanoseconds.
  std::string content_hash() const override;

 private:
  std::vector<Entry> entries_;
  std::vector<std::string> class_names_;
  std::vector<std::string> notes_;
};

/// The images of the image folder `root` that a text file lists, one per line: WNID_NUMBER.JPEG for
/// root/WNID/WNID_NUMBER.JPEG, or a path below `root` if the line contains a slash. Classes are all
/// subfolders of `root`; the order is that of the image folder, whatever the order of the list.
/// Repeated lines count once; hidden names are skipped as in an image folder. Throws DataError,
/// naming the line, if one is not a name.
///
/// Source: the lists of SimCLRv2 (1percent.txt, 10percent.txt).
FileList listed_images(const std::filesystem::path& root, const std::filesystem::path& list);

/// Flowers-102: jpg/, imagelabels.mat and setid.mat. kTrain is the union of the published training
/// and validation sets. Classes are "1" to "102".
FileList flowers(const std::filesystem::path& root, Split split);

/// Stanford Cars: cars_annos.mat and the images that it lists. Classes are "1" to "196".
FileList stanford_cars(const std::filesystem::path& root, Split split);

/// iNaturalist 2018 or 2019: train{year}.json, val{year}.json, categories.json. The class is the
/// value of `rank` in the category's entry; classes are numbered by first appearance in the
/// training annotations.
FileList inaturalist(const std::filesystem::path& root, int year, const std::string& rank,
                     Split split);

}  // namespace ibot::data
