// The labeled images of an evaluation, within a run or after it.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ibot/data/class_match.h"
#include "ibot/loading/data_options.h"
#include "ibot/loading/open_dataset.h"

namespace ibot::evaluation {

/// Training and test images under one numbering of classes, that of the training images.
class LabeledImages {
 public:
  /// Throws DataError where images or annotations cannot be read, fewer than two classes have
  /// training images, or test images are of a class that has none.
  ///
  ///   reading  how images are decoded where options.max_bad_share asks for it
  LabeledImages(const std::filesystem::path& root, const data::DatasetOptions& options,
                const data::DataOptions& reading = {});

  const std::filesystem::path& root() const { return root_; }
  const data::Dataset& train() const { return *train_; }
  const data::Dataset& test() const { return *matched_; }
  const data::Dataset& of(data::Split split) const {
    return split == data::Split::kTrain ? train() : test();
  }
  int64_t classes() const { return static_cast<int64_t>(train_->class_names().size()); }
  /// Of content, order and labels of one half.
  const std::string& hash(data::Split split) const {
    return split == data::Split::kTrain ? train_hash_ : test_hash_;
  }
  /// Images of each half, those of them that were left out because they do not decode, and classes.
  std::map<std::string, int64_t> counts() const;
  /// What a user should know, a line each: notes of both data sets, classes without training or
  /// test images.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  void note(const std::filesystem::path& where, const data::Dataset& images);
  void note(const std::vector<std::string>& names, const char* problem);

  std::filesystem::path root_;
  std::unique_ptr<data::Dataset> train_;
  std::unique_ptr<data::Dataset> test_;
  std::optional<data::MatchedDataset> matched_;
  std::string train_hash_;
  std::string test_hash_;
  int64_t unreadable_train_ = 0;
  int64_t unreadable_test_ = 0;
  std::vector<std::string> notes_;
};

}  // namespace ibot::evaluation
