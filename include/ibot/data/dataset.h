// Encoded images with classes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ibot::data {

/// The two splits of a data set.
enum class Split : uint64_t { kTrain, kVal };

/// A damaged sample, or a damaged file of several samples; `sample` is then -1.
struct DamagedFile {
  int64_t sample = 0;
  std::string path;
  std::string reason;
};

/// A fixed, ordered collection of encoded images. Thread-safe.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  /// Index of the sample's class in class_names().
  virtual int64_t label(int64_t sample) const = 0;
  /// Name of the sample in messages.
  virtual std::string path(int64_t sample) const = 0;
  /// The encoded image; throws DataError if it cannot be read.
  virtual std::vector<uint8_t> read(int64_t sample) const = 0;
  /// A single class with an empty name if the images have no classes; see has_classes.
  virtual const std::vector<std::string>& class_names() const = 0;
  /// Remarks for the user on files that were skipped, left out or interpreted, one line each.
  virtual std::vector<std::string> notes() const { return {}; }
  /// Identity of the images as 32 hexadecimal digits: content, order, labels and class names, but
  /// not location. The default hashes the bytes of every image; data sets that identify images by
  /// less say by what. Unreadable files enter as such.
  virtual std::string content_hash() const;

  /// Whether neighboring samples are adjacent on disk and already shuffled, so that an epoch should
  /// read them in long runs.
  virtual bool is_stream() const { return false; }
  /// Files of several samples that differ from what was written, whether or not a sample is
  /// affected. Reads every file completely, on `workers` threads.
  virtual std::vector<DamagedFile> damaged_containers(int64_t /*workers*/) const { return {}; }
};

/// Whether the images have classes.
inline bool has_classes(const Dataset& dataset) {
  return dataset.class_names() != std::vector<std::string>{""};
}

}  // namespace ibot::data
