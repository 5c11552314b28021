#include "ibot/evaluation/labeled_images.h"

#include "ibot/base/error.h"
#include "ibot/loading/readable_set.h"

namespace ibot::evaluation {
namespace {

namespace fs = std::filesystem;

/// Whoever names train/ itself, or the images of one half, is told what is wanted.
void check_folders(const fs::path& root, const data::DatasetOptions& options) {
  if (options.kind != data::DatasetKind::kFolder) return;
  std::error_code unknown;
  IBOT_CHECK_AS(DataError, fs::exists(root, unknown), root.string(),
                ": expected a folder with train/ and val/, found nothing; check the path");
  for (const char* half : {"train", "val"}) {
    // With or without a slash at the end.
    const auto name = (root / "").parent_path().filename();
    const auto hint = name == "train" || name == "val" ? "; name the folder above it" : "";
    IBOT_CHECK_AS(DataError, fs::exists(root / half, unknown), root.string(),
                  ": expected the folders train/ and val/ of labeled images, found no ", half, "/",
                  hint);
  }
}

std::unique_ptr<data::Dataset> opened(const fs::path& root, data::Split split,
                                      const data::DatasetOptions& options,
                                      const data::DataOptions& reading, int64_t& unreadable) {
  auto images = data::open_dataset(root, split, options);
  const auto all = images->size();
  images = data::without_unreadable(std::move(images), options.max_bad_share, reading);
  unreadable = all - images->size();
  return images;
}

}  // namespace

LabeledImages::LabeledImages(const fs::path& root, const data::DatasetOptions& options,
                             const data::DataOptions& reading)
    : root_(root) {
  check_folders(root, options);
  train_ = opened(root, data::Split::kTrain, options, reading, unreadable_train_);
  test_ = opened(root, data::Split::kVal, options, reading, unreadable_test_);
  // Classes are matched by name: the halves may have different folders.
  auto match = data::match_classes(*train_, *test_);
  note(root / "train", *train_);
  note(root / "val", *test_);
  note(match.empty, "without training images");
  note(match.untested, "without test images; accuracy is over the others");
  matched_.emplace(*train_, *test_, std::move(match));
  train_hash_ = train_->content_hash();
  test_hash_ = matched_->content_hash();
}

std::map<std::string, int64_t> LabeledImages::counts() const {
  std::map<std::string, int64_t> counts{
      {"train_images", train().size()}, {"test_images", test().size()}, {"classes", classes()}};
  if (unreadable_train_ > 0) counts["unreadable_train_images"] = unreadable_train_;
  if (unreadable_test_ > 0) counts["unreadable_test_images"] = unreadable_test_;
  return counts;
}

void LabeledImages::note(const fs::path& where, const data::Dataset& images) {
  for (const auto& line : images.notes()) notes_.push_back(concat(where.string(), ": ", line));
}

void LabeledImages::note(const std::vector<std::string>& names, const char* problem) {
  if (names.empty()) return;
  notes_.push_back(concat(names.size(), " of ", classes(), " classes ", problem, ", the first one ",
                          names.front()));
}

}  // namespace ibot::evaluation
