// Test images with the class indices of the training images.
#pragma once

#include <string>
#include <vector>

#include "ibot/data/dataset.h"

namespace ibot::data {

/// The classes of a test set matched by name to those of a training set.
struct ClassMatch {
  /// Training index of each class of the test set; -1 for classes that neither training nor test
  /// images have.
  std::vector<int64_t> label;
  /// Classes with training images but without test images.
  std::vector<std::string> untested;
  /// Classes of the training set without any image.
  std::vector<std::string> empty;
};

/// Throws DataError if images have no classes, if fewer than two classes have training images, or
/// if test images have a class without training images.
ClassMatch match_classes(const Dataset& train, const Dataset& test);

/// The images of `test` with the labels and class names of `train`; both must outlive it.
class MatchedDataset : public Dataset {
 public:
  MatchedDataset(const Dataset& train, const Dataset& test, ClassMatch match)
      : train_(train), test_(test), match_(std::move(match)) {}

  int64_t size() const override { return test_.size(); }
  int64_t label(int64_t sample) const override { return match_.label[test_.label(sample)]; }
  std::string path(int64_t sample) const override { return test_.path(sample); }
  std::vector<uint8_t> read(int64_t sample) const override { return test_.read(sample); }
  const std::vector<std::string>& class_names() const override { return train_.class_names(); }
  /// Hash of the test images together with their labels in this data set.
  std::string content_hash() const override;

 private:
  const Dataset& train_;
  const Dataset& test_;
  ClassMatch match_;
};

}  // namespace ibot::data
