// Images that are files, each with its class.
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

  /// `source` is what messages call the list. Throws DataError when it is empty, when a label is no
  /// class, and when a file is missing, naming the first and how many are.
  FileList(const std::string& source, std::vector<Entry> entries,
           std::vector<std::string> class_names, std::vector<std::string> notes = {});

  int64_t size() const override { return static_cast<int64_t>(entries_.size()); }
  int64_t label(int64_t sample) const override { return entries_[sample].label; }
  std::string path(int64_t sample) const override { return entries_[sample].path; }
  std::vector<uint8_t> read(int64_t sample) const override;
  const std::vector<std::string>& class_names() const override { return class_names_; }
  std::vector<std::string> notes() const override { return notes_; }
  /// Of each file its path below the folder that holds all, and its bytes where all together take
  /// at most 64 MiB, else its size and the nanosecond of its last change.
  std::string content_hash() const override;

 private:
  std::vector<Entry> entries_;
  std::vector<std::string> class_names_;
  std::vector<std::string> notes_;
};

/// The images below `root`, an image folder, that a text file names, one a line: WNID_NUMBER.JPEG
/// for root/WNID/WNID_NUMBER.JPEG, or a path below `root` where the line has a slash. Classes are
/// all sub-folders of `root`; the order is that of an image folder, whatever that of the list.
/// Repeated lines count once, hidden names are passed over as there. Throws DataError, naming the
/// line where one is no name.
///
/// Source: the lists of SimCLRv2 (1percent.txt, 10percent.txt).
FileList listed_images(const std::filesystem::path& root, const std::filesystem::path& list);

/// Flowers-102: jpg/, imagelabels.mat and setid.mat; training is the published training and
/// validation part together. Classes are "1" to "102".
FileList flowers(const std::filesystem::path& root, Split split);

/// Stanford Cars: cars_annos.mat and the images it names. Classes are "1" to "196".
FileList stanford_cars(const std::filesystem::path& root, Split split);

/// iNaturalist 2018 or 2019: train{year}.json, val{year}.json, categories.json. A class is what the
/// entry of a category says under `rank`; classes are numbered as they first appear in the training
/// annotations.
FileList inaturalist(const std::filesystem::path& root, int year, const std::string& rank,
                     Split split);

}  // namespace ibot::data
