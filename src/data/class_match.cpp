#include "ibot/data/class_match.h"

#include <map>

#include "data/content.h"
#include "ibot/base/error.h"

namespace ibot::data {
namespace {

std::vector<int64_t> images_per_class(const Dataset& dataset) {
  std::vector<int64_t> counts(dataset.class_names().size());  // [classes]
  for (int64_t sample = 0; sample < dataset.size(); ++sample) ++counts[dataset.label(sample)];
  return counts;
}

void check_classes(const Dataset& dataset) {
  IBOT_CHECK_AS(DataError, has_classes(dataset), "classes: expected images with classes, got ",
                dataset.size(), " without, the first one ", dataset.path(0),
                "; put those of each class into a subfolder, or a label KEY.cls next to each");
}

}  // namespace

ClassMatch match_classes(const Dataset& train, const Dataset& test) {
  check_classes(train);
  check_classes(test);
  // Matched by name: the two sets may number their classes differently.
  const auto& names = train.class_names();
  const auto trained = images_per_class(train);
  const auto tested = images_per_class(test);
  std::map<std::string, int64_t> label_of;
  ClassMatch match;
  for (size_t label = 0; label < names.size(); ++label) {
    if (trained[label] > 0) {
      label_of[names[label]] = static_cast<int64_t>(label);
    } else {
      match.empty.push_back(names[label]);
    }
  }
  IBOT_CHECK_AS(DataError, label_of.size() >= 2,
                "classes: expected training images of two or more classes, got ", label_of.size());
  std::vector<bool> has_test(names.size());
  for (size_t label = 0; label < tested.size(); ++label) {
    const auto& name = test.class_names()[label];
    const auto found = label_of.find(name);
    IBOT_CHECK_AS(DataError, found != label_of.end() || tested[label] == 0, "classes: ", name,
                  " has ", tested[label],
                  " test images but no training image; remove them or add "
                  "training images");
    // A class of the test set without any image needs no counterpart.
    match.label.push_back(found == label_of.end() ? -1 : found->second);
    if (found != label_of.end() && tested[label] > 0) has_test[found->second] = true;
  }
  for (size_t label = 0; label < names.size(); ++label) {
    if (trained[label] > 0 && !has_test[label]) match.untested.push_back(names[label]);
  }
  return match;
}

std::string MatchedDataset::content_hash() const {
  Hash hash;
  // Labels too: they are the training set's numbers.
  hash.add(test_.content_hash());
  add_labels(hash, *this);
  return hash.hex();
}

}  // namespace ibot::data
