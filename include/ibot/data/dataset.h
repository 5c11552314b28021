// Images with classes, as files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ibot::data {

/// The two halves of a data set.
enum class Split : uint64_t { kTrain, kVal };

/// A file, or a sample within one, that is no whole image; `sample` is -1 where it is none.
struct DamagedFile {
  int64_t sample = 0;
  std::string path;
  std::string reason;
};

/// A fixed, ordered collection of encoded images. Safe to read from several threads.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  /// Index of the sample's class in class_names().
  virtual int64_t label(int64_t sample) const = 0;
  /// What messages call the sample.
  virtual std::string path(int64_t sample) const = 0;
  /// The encoded image; throws DataError when it cannot be read.
  virtual std::vector<uint8_t> read(int64_t sample) const = 0;
  /// A single class without a name where the images have none; see has_classes.
  virtual const std::vector<std::string>& class_names() const = 0;
  /// What a user should know of what was passed over, left out or taken for something, a line each.
  virtual std::vector<std::string> notes() const { return {}; }
  /// What the images are, in 32 hexadecimal digits: content, order, labels and names of classes,
  /// but not where they lie. Here from every image's bytes; data sets that can tell without reading
  /// all of them say from what. Files that cannot be read count as such.
  virtual std::string content_hash() const;

  /// Whether neighbours lie side by side on disk and are a random mix already: an epoch had then
  /// best read them in long runs.
  virtual bool is_stream() const { return false; }
  /// Files of many samples that are not as they were written, whether or not a sample is concerned.
  /// Reads every file whole, on `workers` threads.
  virtual std::vector<DamagedFile> damaged_containers(int64_t /*workers*/) const { return {}; }
};

/// Whether the images have classes.
inline bool has_classes(const Dataset& dataset) {
  return dataset.class_names() != std::vector<std::string>{""};
}

}  // namespace ibot::data
