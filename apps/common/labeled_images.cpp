#include "common/labeled_images.h"

#include "common/data_notes.h"
#include "common/logging.h"
#include "common/run_main.h"
#include "ibot/base/error.h"

namespace ibot::apps {

LabeledImages::LabeledImages(const std::filesystem::path& root,
                             const data::DatasetOptions& options) {
  auto match = open_input([&] {
    train_ = data::open_dataset(root, data::Split::kTrain, options);
    test_ = data::open_dataset(root, data::Split::kVal, options);
    return data::match_classes(*train_, *test_);
  });
  log_notes((root / "train").string(), *train_);
  log_notes((root / "val").string(), *test_);
  warn(match.empty, "without training images");
  warn(match.untested, "without test images; accuracy is over the others");
  matched_.emplace(*train_, *test_, std::move(match));
  train_hash_ = train_->content_hash();
  test_hash_ = matched_->content_hash();
}

void LabeledImages::warn(const std::vector<std::string>& names, const char* problem) const {
  if (names.empty()) return;
  log_warning(concat(names.size(), " of ", classes(), " classes ", problem, ", the first one ",
                     names.front()));
}

}  // namespace ibot::apps
