#include "ibot/evaluation/labeled_images.h"

#include "ibot/base/error.h"

namespace ibot::evaluation {

LabeledImages::LabeledImages(const std::filesystem::path& root, const data::DatasetOptions& options)
    : root_(root),
      train_(data::open_dataset(root, data::Split::kTrain, options)),
      test_(data::open_dataset(root, data::Split::kVal, options)) {
  auto match = data::match_classes(*train_, *test_);
  note(root / "train", *train_);
  note(root / "val", *test_);
  note(match.empty, "without training images");
  note(match.untested, "without test images; accuracy is over the others");
  matched_.emplace(*train_, *test_, std::move(match));
  train_hash_ = train_->content_hash();
  test_hash_ = matched_->content_hash();
}

void LabeledImages::note(const std::filesystem::path& where, const data::Dataset& images) {
  for (const auto& line : images.notes()) notes_.push_back(concat(where.string(), ": ", line));
}

void LabeledImages::note(const std::vector<std::string>& names, const char* problem) {
  if (names.empty()) return;
  notes_.push_back(concat(names.size(), " of ", classes(), " classes ", problem, ", the first one ",
                          names.front()));
}

}  // namespace ibot::evaluation
