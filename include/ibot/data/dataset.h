// Images with classes, as files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ibot::data {

/// The two halves of a data set.
enum class Split : uint64_t { kTrain, kVal };

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
  virtual const std::vector<std::string>& class_names() const = 0;
};

}  // namespace ibot::data
