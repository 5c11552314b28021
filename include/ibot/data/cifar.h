// CIFAR-10 and CIFAR-100 in their binary version.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ibot/data/dataset.h"

namespace ibot::data {

enum class CifarKind { kCifar10, kCifar100 };

/// All images of one split, held in memory. Samples are read as portable pixmaps. CIFAR-100 has its
/// fine classes.
class Cifar : public Dataset {
 public:
  /// `root` holds the .bin files or the folder cifar-10-batches-bin or cifar-100-binary. Throws
  /// DataError if a file is missing, does not hold a whole number of records, or has a label out of
  /// range.
  Cifar(const std::filesystem::path& root, CifarKind kind, Split split);

  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  int64_t label(int64_t sample) const override { return labels_[sample]; }
  /// Path of the file and number of the record: data_batch_1.bin:17.
  std::string path(int64_t sample) const override;
  std::vector<uint8_t> read(int64_t sample) const override;
  const std::vector<std::string>& class_names() const override { return class_names_; }

 private:
  struct File {
    std::string path;
    int64_t first_sample = 0;
  };

  void add_file(const std::filesystem::path& file, CifarKind kind);

  std::vector<std::string> class_names_;
  std::vector<File> files_;
  std::vector<int64_t> labels_;
  std::vector<uint8_t> pixels_;
};

}  // namespace ibot::data
